//! Directories of outputs in the form in which they are stored.

use std::collections::HashSet;
use std::io;

use cullet_digest::{Digest, DigestFunction, Directory, DirectoryNode, FileNode, SymlinkNode};

use super::fault::{CollectError, shown};
use super::found::{DirRef, FileRef, Found, FoundDir};

/// Encoded directories.
#[derive(Debug, Default)]
pub(super) struct Trees {
    /// For each directory found, its digest; none for one that holds nothing and that nobody asked for.
    pub(super) digests: Vec<Option<Digest>>,
    /// The blobs, each once.
    pub(super) blobs: Vec<(Digest, Vec<u8>)>,
}

/// Encodes all directories, children before their parents.
pub(super) fn encode(
    mut found: Found,
    files: &[Digest],
    function: DigestFunction,
) -> Result<Trees, CollectError> {
    let mut trees = Trees { digests: vec![None; found.dirs.len()], blobs: Vec::new() };
    let mut known = HashSet::new();
    // A directory is found after its parent, so backwards every child comes first.
    while let Some(dir) = found.dirs.pop() {
        let (place, wanted) = (dir.place, dir.wanted);
        let directory = directory(dir, files, &trees.digests).map_err(|error| {
            let path = shown(&found.places.path(place));
            CollectError::Read { path, source: io::Error::new(io::ErrorKind::InvalidData, error) }
        })?;
        if !wanted && is_empty(&directory) {
            continue;
        }
        let bytes = directory.encode();
        let digest = function.digest(&bytes);
        trees.digests[found.dirs.len()] = Some(digest);
        if known.insert(digest) && !digest.is_empty() {
            trees.blobs.push((digest, bytes));
        }
    }
    Ok(trees)
}

/// The content of a file.
pub(super) fn file_digest(content: FileRef, files: &[Digest]) -> Digest {
    match content {
        FileRef::Known(digest) => digest,
        FileRef::Found(index) => files[index],
    }
}

fn directory(
    dir: FoundDir,
    files: &[Digest],
    dirs: &[Option<Digest>],
) -> Result<Directory, cullet_digest::DirectoryError> {
    let file_nodes = dir.files.into_iter().map(|(name, content, executable)| FileNode {
        name,
        digest: file_digest(content, files),
        executable,
    });
    let directory_nodes = dir.dirs.into_iter().filter_map(|(name, content)| {
        let digest = match content {
            DirRef::Known(digest) => digest,
            DirRef::Found(index) => dirs[index]?,
        };
        Some(DirectoryNode { name, digest })
    });
    let links = dir.links.into_iter().map(|(name, target)| SymlinkNode { name, target });
    Directory::new(file_nodes.collect(), directory_nodes.collect(), links.collect())
}

fn is_empty(directory: &Directory) -> bool {
    directory.files().is_empty() && directory.directories().is_empty() && directory.symlinks().is_empty()
}
