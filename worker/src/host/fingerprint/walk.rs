//! The entries of a tree, in an order that does not depend on the filesystem.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use crate::host::seen;
use crate::host::stamp::Stamp;

/// The most entries of one tree that are looked at, in the order of their paths level by level. A language's
/// installation has some ten thousand.
pub(super) const MAX_ENTRIES: usize = 50_000;

/// Directories of what programs derive from the files next to them, and write whenever they like.
const DERIVED: [&str; 1] = ["__pycache__"];

/// One file, link or other entry below a tree's root.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its path below the root.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) found: Metadata,
}

/// A tree as it is now.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Everything below the root, directories too.
    pub(super) entries: Vec<Entry>,
    /// The directories that were read, with the root, and their stamps.
    pub(super) dirs: Vec<(PathBuf, Stamp)>,
}

/// Walks `root`; `levels` is how many levels of directories below it are read as well.
pub(super) fn walk(root: &Path, levels: usize) -> Tree {
    let mut tree = Tree::default();
    let mut level = vec![(String::new(), root.to_path_buf())];
    for depth in 0..=levels {
        let mut next = Vec::new();
        for (prefix, dir) in level {
            if tree.entries.len() >= MAX_ENTRIES {
                return tree;
            }
            read(&dir, &prefix, &mut tree, &mut next);
        }
        if next.is_empty() || depth == levels {
            break;
        }
        level = next;
    }
    tree
}

/// Reads one directory. A directory is taken whole or up to the bound after sorting, never as the filesystem
/// happens to list it.
fn read(dir: &Path, prefix: &str, tree: &mut Tree, next: &mut Vec<(String, PathBuf)>) {
    let Ok(found) = fs::metadata(dir) else { return };
    // One that may not be read as well: its stamp shows when it may.
    tree.dirs.push((dir.to_path_buf(), Stamp::of(&found)));
    let Ok(listing) = fs::read_dir(dir) else { return };
    let mut entries: Vec<Entry> = listing
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if DERIVED.contains(&name.as_ref()) {
                return None;
            }
            let (name, path) = (format!("{prefix}{name}"), entry.path());
            if seen::COVERED.iter().any(|covered| path.ends_with(covered)) {
                return None;
            }
            Some(Entry { name, path, found: entry.metadata().ok()? })
        })
        .collect();
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    entries.truncate(MAX_ENTRIES - tree.entries.len());
    let dirs = entries.iter().filter(|entry| entry.found.is_dir());
    next.extend(dirs.map(|entry| (format!("{}/", entry.name), entry.path.clone())));
    tree.entries.append(&mut entries);
}
