//! The digest of a whole tree of files, from memory where nothing in it has changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cullet_digest::DigestFunction;

use super::content;
use super::memory::{Stamp, TreeFiles, TreeMemory};
use super::reader::Reader;
use super::walk::{self, Entry, MAX_ENTRIES, Tree};

/// Of a tree with more entries than this only the directories are looked at each time, which shows every file
/// that was added, removed, renamed or replaced, but not one that was written in place.
const MANY: usize = 1500;
/// How long that may go on before every file is looked at again.
const RECHECK_S: u64 = 600;

/// What of a tree counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Everything, with contents.
    Whole,
    /// The names of the first levels, link targets, and sizes: for what a package manager answers for.
    Shape(usize),
}

/// The digest of the tree at `path` of the machine; `None` when there is no such directory, or nothing in it.
pub(super) fn digest(reader: &mut Reader, path: &Path, depth: Depth, home: Option<&Path>) -> Option<String> {
    let root = reader.at(path);
    if !fs::metadata(&root).ok()?.is_dir() {
        return None;
    }
    let key = PathBuf::from(path);
    let known = reader.known.trees.remove(&key);
    let now_s = reader.now.as_secs();
    if let Some(memory) = &known
        && now_s.checked_sub(memory.checked_s).is_some_and(|age| age < RECHECK_S)
        && let Some((dirs, stamps)) = &memory.dirs
        && stamps_of_dirs(dirs).as_ref() == Some(stamps)
    {
        let value = memory.value.clone();
        keep(reader, key, known?, None);
        return present(value);
    }
    let levels = if let Depth::Shape(levels) = depth { levels } else { usize::MAX };
    let tree = walk::walk(&root, levels);
    let stamps = stamps_of_entries(&tree.entries);
    let value = match &known {
        Some(memory) if memory.stamps == stamps => memory.value.clone(),
        _ => read(reader, &key, &tree, depth, home),
    };
    let memory = remember(reader, &tree, depth, stamps, value.clone());
    if let Some(memory) = memory {
        keep(reader, key, memory, known);
    }
    present(value)
}

/// An empty tree is no part: on another machine the directory may be absent.
fn present(value: String) -> Option<String> {
    (!value.is_empty()).then_some(value)
}

/// Carries a tree into the next memory. The old one goes back first, so that the two compare equal when nothing
/// has changed.
fn keep(reader: &mut Reader, key: PathBuf, memory: TreeMemory, known: Option<TreeMemory>) {
    let before = known.unwrap_or_else(|| memory.clone());
    // A fresh time alone is no reason to write the memory of a small tree.
    let memory = match memory.dirs {
        None if before.stamps == memory.stamps => before.clone(),
        _ => memory,
    };
    reader.known.trees.insert(key.clone(), before);
    reader.seen.trees.insert(key, memory);
}

fn remember(reader: &Reader, tree: &Tree, depth: Depth, stamps: String, value: String) -> Option<TreeMemory> {
    let files = tree.entries.iter().filter(|entry| !entry.found.is_dir());
    let mut every =
        files.map(|entry| Stamp::of(&entry.found)).chain(tree.dirs.iter().map(|dir| dir.1.clone()));
    if !every.all(|stamp| stamp.is_settled(reader.now)) {
        return None;
    }
    let dirs = (tree.entries.len() > MANY || depth != Depth::Whole).then(|| {
        let paths: Vec<PathBuf> = tree.dirs.iter().map(|dir| dir.0.clone()).collect();
        (paths, digest_of_stamps(tree.dirs.iter().map(|dir| &dir.1)))
    });
    Some(TreeMemory { stamps, value, dirs, checked_s: reader.now.as_secs() })
}

fn stamps_of_dirs(dirs: &[PathBuf]) -> Option<String> {
    let stamps: Option<Vec<Stamp>> =
        dirs.iter().map(|dir| fs::metadata(dir).ok().map(|found| Stamp::of(&found))).collect();
    Some(digest_of_stamps(stamps?.iter()))
}

fn digest_of_stamps<'a>(stamps: impl Iterator<Item = &'a Stamp>) -> String {
    let mut bytes = Vec::new();
    stamps.for_each(|stamp| stamp.append_to(&mut bytes));
    DigestFunction::Blake3.digest(&bytes).hash_hex()
}

/// Directories count by their names alone: a change of their times that adds and removes nothing is none.
fn stamps_of_entries(entries: &[Entry]) -> String {
    let mut bytes = Vec::with_capacity(entries.len() * 100);
    for entry in entries {
        bytes.extend(entry.name.as_bytes());
        bytes.push(0);
        if entry.found.is_dir() {
            bytes.push(b'/');
        } else {
            Stamp::of(&entry.found).append_to(&mut bytes);
        }
    }
    DigestFunction::Blake3.digest(&bytes).hash_hex()
}

/// The digest of the tree, with the files that have not changed taken from memory.
fn read(reader: &mut Reader, key: &Path, tree: &Tree, depth: Depth, home: Option<&Path>) -> String {
    let now = reader.now;
    let known = if depth == Depth::Whole { reader.details().remove(key) } else { None }.unwrap_or_default();
    let mut files = TreeFiles::new();
    let mut lines = Vec::with_capacity(tree.entries.len() + 1);
    for entry in &tree.entries {
        let what = match depth {
            _ if entry.found.is_dir() => "dir".to_owned(),
            _ if entry.found.is_symlink() => link(&entry.path, home),
            _ if !entry.found.is_file() => "other".to_owned(),
            Depth::Shape(_) => format!("{} bytes", entry.found.len()),
            Depth::Whole => {
                let (stamp, digest) = file(entry, &known, home);
                if stamp.is_settled(now) {
                    files.insert(entry.name.clone(), (stamp, digest.clone()));
                }
                digest
            }
        };
        lines.push(format!("{}\t{}\t{what}", entry.name, mode(entry)));
    }
    if depth == Depth::Whole {
        reader.details().insert(key.to_path_buf(), files);
    }
    if lines.is_empty() {
        return String::new();
    }
    if lines.len() >= MAX_ENTRIES {
        lines.push("and more".to_owned());
    }
    DigestFunction::Blake3.digest(lines.join("\n").as_bytes()).hash_hex()
}

fn file(entry: &Entry, known: &TreeFiles, home: Option<&Path>) -> (Stamp, String) {
    let stamp = Stamp::of(&entry.found);
    if let Some((at, digest)) = known.get(&entry.name)
        && *at == stamp
    {
        return (stamp, digest.clone());
    }
    // A file that its reader may not read is a fact about the tree as well: a step may not read it either.
    let digest =
        content::digest(&entry.path, entry.found.len(), home).unwrap_or_else(|_| "unreadable".to_owned());
    (stamp, digest)
}

fn link(path: &Path, home: Option<&Path>) -> String {
    let target = fs::read_link(path).unwrap_or_default();
    let target = home
        .and_then(|home| target.strip_prefix(home).ok().map(|below| Path::new("~").join(below)))
        .unwrap_or(target);
    format!("link {}", target.display())
}

/// Whether a file can be executed; other rights do not matter to a step.
fn mode(entry: &Entry) -> &'static str {
    let executable = entry.found.is_file() && entry.found.permissions().mode() & 0o111 != 0;
    if executable { "x" } else { "-" }
}
