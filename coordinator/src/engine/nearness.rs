//! Which workers already have what a step needs.

use std::collections::{BTreeMap, HashSet};

use cullet_cache::BlobStore;
use cullet_core::WorkerId;
use cullet_digest::{Digest, Directory, TreeRef};
use quick_cache::sync::Cache;

use super::Leading;

/// Workers that the core is told of; it does not remember more.
const MOST: usize = 8;

/// Workers that are looked at for one input: more have it only where everybody has it, and then it decides nothing.
const HOLDERS: usize = 32;

/// Trees whose size is remembered, some fifty bytes each.
const SIZES: usize = 1 << 16;

/// Directories that are read to find out the size of a tree. A larger one counts with what was found by then, which is
/// already more than decides.
const DIRECTORIES: usize = 1 << 10;

/// How many bytes there are in trees.
#[derive(Debug)]
pub(super) struct TreeSizes(Cache<Digest, u64>);

impl Default for TreeSizes {
    fn default() -> Self {
        Self(Cache::new(SIZES))
    }
}

impl TreeSizes {
    async fn of(&self, blobs: &dyn BlobStore, tree: &TreeRef) -> u64 {
        match tree {
            TreeRef::File { digest, .. } => digest.size(),
            TreeRef::Directory(root) => {
                let size = self.0.get_or_insert_async(root, async {
                    Ok::<_, std::convert::Infallible>(directory_bytes(blobs, *root).await)
                });
                size.await.unwrap_or_else(|never| match never {})
            }
        }
    }
}

/// What the files below a directory have together, each counted as often as it stands there. What cannot be read
/// counts as nothing: this only ever decides between workers.
async fn directory_bytes(blobs: &dyn BlobStore, root: Digest) -> u64 {
    let (mut waiting, mut seen, mut bytes) = (vec![root], HashSet::from([root]), 0_u64);
    while let Some(digest) = waiting.pop() {
        let Ok(blob) = blobs.get(&digest).await else { continue };
        let Ok(encoded) = blob.into_bytes() else { continue };
        let Ok(directory) = Directory::decode(digest.function(), &encoded) else { continue };
        bytes = directory.files().iter().fold(bytes, |sum, file| sum.saturating_add(file.digest.size()));
        for child in directory.directories() {
            if seen.len() < DIRECTORIES && seen.insert(child.digest) {
                waiting.push(child.digest);
            }
        }
    }
    bytes
}

/// Workers that another one is told of: more would not be asked.
const TOLD: usize = 4;

impl Leading {
    /// Where other workers are that have a tree.
    pub(super) fn holders(&self, tree: &Digest, but: WorkerId) -> Vec<String> {
        let holders = self.attendance.holders(tree, TOLD + 1);
        if holders.is_empty() {
            return Vec::new();
        }
        self.read(|state| {
            let address = |worker| state.worker(worker).map(|worker| worker.spec.address.to_string());
            let others = holders.into_iter().filter(|worker| *worker != but).take(TOLD);
            others.filter_map(address).filter(|address| !address.is_empty()).collect()
        })
    }

    /// Workers that have most of these trees, with how many bytes that saves.
    pub(super) async fn near(&self, inputs: &[TreeRef]) -> Box<[(WorkerId, u64)]> {
        let mut held: BTreeMap<WorkerId, u64> = BTreeMap::new();
        for tree in inputs {
            let holders = self.attendance.holders(&tree.digest(), HOLDERS);
            if holders.is_empty() {
                continue;
            }
            let bytes = self.sizes.of(&*self.parts.blobs, tree).await;
            for worker in holders {
                let sum = held.entry(worker).or_default();
                *sum = sum.saturating_add(bytes);
            }
        }
        let mut near: Vec<(WorkerId, u64)> = held.into_iter().collect();
        near.sort_unstable_by_key(|(worker, bytes)| (std::cmp::Reverse(*bytes), *worker));
        near.truncate(MOST);
        near.into()
    }
}

#[cfg(test)]
mod tests {
    use cullet_cache::{Blob, MemoryStore};
    use cullet_digest::{DigestFunction, DirectoryNode, FileNode, NodeName};

    use super::*;

    #[tokio::test]
    async fn a_tree_has_what_its_files_have() {
        let store = MemoryStore::new(1 << 20);
        let function = DigestFunction::Blake3;
        let file = function.digest(&[0; 1000]);
        let node =
            |name: &str| FileNode { name: NodeName::new(name).unwrap(), digest: file, executable: false };
        let inner = Directory::new(vec![node("f")], vec![], vec![]).unwrap();
        let child = DirectoryNode { name: NodeName::new("d").unwrap(), digest: inner.digest(function) };
        let outer = Directory::new(vec![node("g")], vec![child], vec![]).unwrap();
        for directory in [&inner, &outer] {
            store.put(&directory.digest(function), Blob::from(directory.encode())).await.unwrap();
        }
        let outer_digest = outer.digest(function);
        let sizes = TreeSizes::default();
        assert_eq!(sizes.of(&store, &TreeRef::Directory(outer_digest)).await, 2000);
        assert_eq!(sizes.of(&store, &TreeRef::File { digest: file, executable: true }).await, 1000);
        assert_eq!(sizes.of(&store, &TreeRef::Directory(file)).await, 0);
    }
}
