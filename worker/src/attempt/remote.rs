//! What clients of the Remote Execution API expect of an execution besides what steps of pipelines get.

use std::collections::BTreeMap;

use cullet_cache::{Action, Blob, BlobStore, Output, OutputKind, StoreError, tree_message};
use cullet_digest::{Digest, Directory, DirectoryError, DirectoryNode, NodeName, TreeRef};

use crate::collect::CollectError;
use crate::input_root::{InputError, LostInputs};

/// Directories that have to be there, by name.
#[derive(Debug, Default)]
struct Ways(BTreeMap<String, Ways>);

impl Ways {
    /// Those that lead to the outputs of an action, from its input root. What leads out of it leads nowhere.
    fn of(action: &Action) -> Self {
        let mut all = Self::default();
        for output in &action.outputs {
            let path = format!("{}/{}", action.working_directory, output.path);
            let names = path.split('/').filter(|name| !name.is_empty() && *name != ".");
            let mut names: Vec<&str> = names.collect();
            // The output itself is not made.
            names.pop();
            if !names.contains(&"..") {
                names.into_iter().fold(&mut all, |at, name| at.0.entry(name.to_owned()).or_default());
            }
        }
        all
    }
}

/// The input root of an action with the directories in it that lead to its outputs, which the worker makes before the process
/// begins (`Command.output_paths`). What is new of it is stored; where all of them are there, it is the one that the action names.
///
/// # Errors
/// A directory on the way cannot be read or stored.
pub(super) async fn with_ways(blobs: &dyn BlobStore, action: &Action) -> Result<Digest, InputError> {
    let mut adding = Adding { blobs, action, path: Vec::new() };
    adding.add(Some(action.input_root), &Ways::of(action)).await
}

/// Directories on their way into an input root.
struct Adding<'a> {
    blobs: &'a dyn BlobStore,
    action: &'a Action,
    /// Where it is at.
    path: Vec<String>,
}

impl Adding<'_> {
    /// A directory with these ways in it.
    async fn add(&mut self, there: Option<Digest>, ways: &Ways) -> Result<Digest, InputError> {
        let directory = match there {
            Some(there) if ways.0.is_empty() => return Ok(there),
            Some(there) => self.read(&there).await?,
            None => Directory::default(),
        };
        let taken: Vec<&str> = {
            let files = directory.files().iter().map(|file| &*file.name);
            files.chain(directory.symlinks().iter().map(|link| &*link.name)).collect()
        };
        let mut children: BTreeMap<&str, Digest> =
            directory.directories().iter().map(|child| (&*child.name, child.digest)).collect();
        // A file is none of ours to remove, and a link may lead to a directory.
        for (name, below) in ways.0.iter().filter(|(name, _)| !taken.contains(&name.as_str())) {
            let child = children.get(name.as_str()).copied();
            self.path.push(name.clone());
            let with = Box::pin(self.add(child, below)).await?;
            self.path.pop();
            children.insert(name, with);
        }
        let nodes = children.into_iter().map(|(name, digest)| {
            let name = NodeName::new(name.to_owned()).map_err(DirectoryError::from)?;
            Ok(DirectoryNode { name, digest })
        });
        let with = nodes.collect::<Result<Vec<_>, DirectoryError>>().and_then(|nodes| {
            Directory::new(directory.files().to_vec(), nodes, directory.symlinks().to_vec())
        });
        let bytes = with.map_err(|source| self.invalid(source))?.encode();
        let digest = self.action.input_root.function().digest(&bytes);
        if there != Some(digest) && !digest.is_empty() {
            self.blobs.put(&digest, Blob::from(bytes)).await.map_err(InputError::Store)?;
        }
        Ok(digest)
    }

    async fn read(&self, digest: &Digest) -> Result<Directory, InputError> {
        if digest.is_empty() {
            return Ok(Directory::default());
        }
        let blob = match self.blobs.get(digest).await {
            Ok(blob) => blob,
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => {
                let mut lost = LostInputs::default();
                lost.add(self.path.join("/"), *digest);
                return Err(InputError::Lost(lost));
            }
            Err(error) => return Err(InputError::Store(error)),
        };
        let bytes = blob
            .into_bytes()
            .map_err(|error| InputError::Store(StoreError::io("read", "a directory", error)))?;
        Directory::decode(digest.function(), &bytes).map_err(|source| self.invalid(source))
    }

    fn invalid(&self, source: DirectoryError) -> InputError {
        InputError::Invalid { path: self.path.join("/"), source }
    }
}

/// A `Tree` message of each output that is a directory, stored, by its path.
pub(super) async fn trees(
    blobs: &dyn BlobStore,
    outputs: &[Output],
) -> Result<Vec<(String, Digest)>, CollectError> {
    let mut trees = Vec::new();
    for Output { path, kind } in outputs {
        let OutputKind::Tree(TreeRef::Directory(root)) = kind else { continue };
        let (digest, bytes) = tree_message(blobs, root).await.map_err(CollectError::Store)?;
        blobs.put(&digest, Blob::from(bytes)).await.map_err(CollectError::Store)?;
        trees.push((path.clone(), digest));
    }
    Ok(trees)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cullet_cache::{MemoryStore, OutputPath};
    use cullet_digest::{DigestFunction, FileNode};

    use super::*;

    const FUNCTION: DigestFunction = DigestFunction::Sha256;

    fn action(input_root: Digest, working_directory: &str, outputs: &[&str]) -> Action {
        let output = |path: &&str| OutputPath { path: (*path).to_owned(), globs: false, optional: true };
        Action {
            arguments: Vec::new(),
            env: Vec::new(),
            working_directory: working_directory.to_owned(),
            outputs: outputs.iter().map(output).collect(),
            input_root,
            platform: Vec::new(),
            timeout: Duration::ZERO,
            do_not_cache: false,
            salt: Vec::new(),
            trees: true,
        }
    }

    async fn put(blobs: &MemoryStore, directories: &[(&str, Digest)], files: &[&str]) -> Digest {
        let name = |name: &str| NodeName::new(name.to_owned()).unwrap();
        let file = |at: &&str| FileNode { name: name(at), digest: FUNCTION.digest(b"x"), executable: false };
        let directory = |(at, digest): &(&str, Digest)| DirectoryNode { name: name(at), digest: *digest };
        let (files, directories) = (files.iter().map(file), directories.iter().map(directory));
        let bytes = Directory::new(files.collect(), directories.collect(), Vec::new()).unwrap().encode();
        let digest = FUNCTION.digest(&bytes);
        blobs.put(&digest, Blob::from(bytes)).await.unwrap();
        digest
    }

    #[tokio::test]
    async fn ways_to_outputs_are_there_and_what_was_there_stays() {
        let blobs = MemoryStore::new(1 << 20);
        let empty = FUNCTION.digest(b"");
        let made = with_ways(&blobs, &action(empty, "work", &["a/b/out", "a/other", "top"])).await.unwrap();
        let b = put(&blobs, &[("b", empty)], &[]).await;
        let a = put(&blobs, &[("a", b)], &[]).await;
        assert_eq!(made, put(&blobs, &[("work", a)], &[]).await);

        let kept = put(&blobs, &[("deep", empty)], &["f"]).await;
        let root = put(&blobs, &[("a", kept)], &["g"]).await;
        let made = with_ways(&blobs, &action(root, "", &["a/new/out", "g/below/out"])).await.unwrap();
        let a = put(&blobs, &[("deep", empty), ("new", empty)], &["f"]).await;
        // Where a file is, no directory can be.
        assert_eq!(made, put(&blobs, &[("a", a)], &["g"]).await);
        // Nothing is to be made, or nothing that may be.
        for outputs in [&["a/out", "a/deep/out"][..], &["../x/out", "a/../../y/out"], &[]] {
            assert_eq!(with_ways(&blobs, &action(root, "", outputs)).await.unwrap(), root, "{outputs:?}");
        }
        let gone = action(FUNCTION.digest(b"gone"), "", &["a/out"]);
        assert!(
            matches!(with_ways(&blobs, &gone).await, Err(InputError::Lost(lost)) if lost.inputs.len() == 1)
        );
    }
}
