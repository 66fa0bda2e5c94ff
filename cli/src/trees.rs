//! Two trees of files, compared: which files and links differ, and how.

use std::collections::{BTreeMap, BTreeSet};

use cullet_cache::BlobStore;
use cullet_digest::{Digest, Directory};

/// What stands at a path, directories aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leaf {
    File { digest: Digest, executable: bool },
    Symlink(Box<str>),
}

/// A path at which two trees differ. Directories are looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) path: String,
    /// None where the first tree has nothing there, or a directory.
    pub(crate) old: Option<Leaf>,
    pub(crate) new: Option<Leaf>,
}

/// What two trees differ in.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    /// In the order of their paths within each directory.
    pub(crate) found: Vec<Difference>,
    /// Directories that differ, of which one can no longer be read; empty for the root.
    pub(crate) unreadable: Vec<String>,
    /// There are more.
    pub(crate) more: bool,
}

#[derive(PartialEq)]
enum Entry {
    Leaf(Leaf),
    Directory(Digest),
}

/// Two directories at one path; none where there is none on that side.
struct Pair {
    path: String,
    old: Option<Digest>,
    new: Option<Digest>,
}

/// The first `most` differences between two root directories. Equal directories are not read.
pub(crate) async fn differences(blobs: &dyn BlobStore, old: Digest, new: Digest, most: usize) -> Differences {
    let mut differences = Differences::default();
    let mut open = vec![Pair { path: String::new(), old: Some(old), new: Some(new) }];
    while let Some(pair) = open.pop() {
        let (Some(old), Some(new)) = (entries(blobs, pair.old).await, entries(blobs, pair.new).await) else {
            differences.unreadable.push(pair.path.trim_end_matches('/').to_owned());
            continue;
        };
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let mut below = Vec::new();
        for name in names {
            let (old, new) = (old.get(name), new.get(name));
            if old == new {
                continue;
            }
            let path = format!("{}{name}", pair.path);
            let leaves = (leaf(old), leaf(new));
            if leaves != (None, None) {
                if differences.found.len() == most {
                    differences.more = true;
                    return differences;
                }
                let (old, new) = leaves;
                differences.found.push(Difference { path: path.clone(), old, new });
            }
            let (old, new) = (directory(old), directory(new));
            if old.is_some() || new.is_some() {
                below.push(Pair { path: format!("{path}/"), old, new });
            }
        }
        open.extend(below.into_iter().rev());
    }
    differences
}

fn leaf(entry: Option<&Entry>) -> Option<Leaf> {
    match entry {
        Some(Entry::Leaf(leaf)) => Some(leaf.clone()),
        _ => None,
    }
}

const fn directory(entry: Option<&Entry>) -> Option<Digest> {
    match entry {
        Some(Entry::Directory(digest)) => Some(*digest),
        _ => None,
    }
}

/// The entries by name; none where they cannot be read.
async fn entries(blobs: &dyn BlobStore, digest: Option<Digest>) -> Option<BTreeMap<String, Entry>> {
    let Some(digest) = digest else { return Some(BTreeMap::new()) };
    let bytes = blobs.get(&digest).await.ok()?.into_bytes().ok()?;
    let directory = Directory::decode(digest.function(), &bytes).ok()?;
    let files = directory.files().iter().map(|file| {
        let leaf = Leaf::File { digest: file.digest, executable: file.executable };
        (file.name.to_string(), Entry::Leaf(leaf))
    });
    let directories =
        directory.directories().iter().map(|sub| (sub.name.to_string(), Entry::Directory(sub.digest)));
    let links = directory
        .symlinks()
        .iter()
        .map(|link| (link.name.to_string(), Entry::Leaf(Leaf::Symlink(link.target.clone()))));
    Some(files.chain(directories).chain(links).collect())
}
