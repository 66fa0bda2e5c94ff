//! A directory and everything below it as one REAPI `Tree` message: what clients read that know no directories by their digests.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use cullet_digest::{Digest, Directory};
use cullet_proto::reapi;
use prost::Message as _;

use crate::whole::read_whole;
use crate::{BlobStore, StoreError};

/// The most bytes of a `Tree`: a million files.
pub(crate) const MOST_TREE: u64 = 128 << 20;

/// The `Tree` of a directory, which is not stored, and its digest. Parents stand before what is below them, each directory once.
///
/// # Errors
/// Something of it cannot be read, or all of it is larger than 128 MiB.
pub async fn tree_message(blobs: &dyn BlobStore, root: &Digest) -> Result<(Digest, Bytes), StoreError> {
    let function = root.function();
    let (mut seen, mut waiting) = (HashSet::from([*root]), VecDeque::from([*root]));
    let (mut all, mut bytes) = (Vec::new(), 0);
    while let Some(next) = waiting.pop_front() {
        bytes += next.size();
        if bytes > MOST_TREE {
            return Err(StoreError::TooLarge { digest: *root, limit: MOST_TREE });
        }
        let encoded =
            if next.is_empty() { Bytes::new() } else { read_whole(blobs.get(&next).await?).await? };
        // What is no directory is nowhere where one should be.
        let directory =
            Directory::decode(function, &encoded).map_err(|_| StoreError::NotFound { digest: next })?;
        let children = directory.directories().iter().map(|child| child.digest);
        waiting.extend(children.filter(|child| seen.insert(*child)));
        all.push(encoded);
    }
    let mut all = all.into_iter();
    let tree = reapi::Tree { root: all.next().unwrap_or_default(), children: all.collect() };
    let encoded = Bytes::from(tree.encode_to_vec());
    Ok((function.digest(&encoded), encoded))
}

#[cfg(test)]
mod tests {
    use cullet_digest::{DigestFunction, DirectoryNode, FileNode, NodeName};

    use super::*;
    use crate::{Blob, MemoryStore};

    #[tokio::test]
    async fn parents_come_first_and_what_is_there_twice_comes_once() {
        let function = DigestFunction::Sha256;
        let blobs = MemoryStore::new(1 << 20);
        let put = async |directories: &[(&str, Digest)], files: &[&str]| {
            let name = |name: &str| NodeName::new(name.to_owned()).unwrap();
            let file = |file: &&str| FileNode {
                name: name(file),
                digest: function.digest(file.as_bytes()),
                executable: false,
            };
            let directory = |(at, digest): &(&str, Digest)| DirectoryNode { name: name(at), digest: *digest };
            let files = files.iter().map(file).collect();
            let directories = directories.iter().map(directory).collect();
            let bytes = Directory::new(files, directories, Vec::new()).unwrap().encode();
            let digest = function.digest(&bytes);
            blobs.put(&digest, Blob::from(bytes.clone())).await.unwrap();
            (digest, bytes)
        };
        let (leaf, leaf_bytes) = put(&[], &["f"]).await;
        let (middle, middle_bytes) = put(&[("a", leaf), ("b", leaf)], &[]).await;
        let (root, root_bytes) = put(&[("m", middle), ("leaf", leaf)], &["x"]).await;
        let (digest, bytes) = tree_message(&blobs, &root).await.unwrap();
        assert_eq!(digest, function.digest(&bytes));
        let tree = reapi::Tree::decode(bytes).unwrap();
        assert_eq!(
            (&*tree.root, tree.children),
            (&*root_bytes, vec![leaf_bytes.into(), middle_bytes.into()])
        );
        let gone = function.digest(b"gone");
        let lost = tree_message(&blobs, &gone).await;
        assert!(matches!(lost, Err(StoreError::NotFound { digest }) if digest == gone), "{lost:?}");
    }
}
