//! The digest of a whole tree of files, from memory where nothing in it has changed.

use std::fs;
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use cullet_digest::DigestFunction;

use super::content;
use super::memory::{TreeFiles, TreeMemory};
use super::reader::Reader;
use super::walk::{self, Entry, MAX_ENTRIES, Tree};
use super::watch;
use crate::host::stamp::Stamp;

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
    let known = reader.known.trees.get(&root).cloned();
    let memory = match known {
        Some(known) if reader.unchanged.contains(&root) => known,
        known => match look(reader, &root, depth, home, known)? {
            Looked { memory: Some(memory), .. } => memory,
            Looked { value, memory: None } => {
                reader.restless = true;
                return present(value);
            }
        },
    };
    let value = memory.value.clone();
    reader.seen.trees.insert(root, memory);
    present(value)
}

/// An empty tree is no part: on another machine the directory may be absent.
fn present(value: String) -> Option<String> {
    (!value.is_empty()).then_some(value)
}

/// A tree as it is now, and what may be remembered of it: nothing when it changed just now.
struct Looked {
    value: String,
    memory: Option<TreeMemory>,
}

/// Looks at everything in the tree, and reads what has changed; none when there is no directory.
fn look(
    reader: &mut Reader,
    root: &Path,
    depth: Depth,
    home: Option<&Path>,
    known: Option<TreeMemory>,
) -> Option<Looked> {
    if !root.is_dir() {
        // Looked at again only where there is none: a tree's own looks begin with its root.
        reader.looks.is_dir(root);
        return None;
    }
    let levels = if let Depth::Shape(levels) = depth { levels } else { usize::MAX };
    let tree = walk::walk(root, levels);
    let stamps = stamps_of(&tree.entries);
    let value = match known {
        Some(memory) if memory.stamps == stamps => memory.value,
        _ => read(reader, root, &tree, depth, home),
    };
    let watched = watch::watched(&tree, depth == Depth::Whole, reader.now.as_secs());
    let files =
        tree.entries.iter().filter(|entry| !entry.found.is_dir()).map(|entry| Stamp::of(&entry.found));
    let mut every = files.chain(tree.dirs.iter().map(|dir| dir.1.clone()));
    let settled = every.all(|stamp| stamp.is_settled(reader.now));
    let memory = watched.filter(|_| settled);
    let memory = memory.map(|watched| TreeMemory { stamps, value: value.clone(), watched });
    Some(Looked { value, memory })
}

/// Directories count by their names alone: a change of their times that adds and removes nothing is none.
fn stamps_of(entries: &[Entry]) -> String {
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
    let whole = depth == Depth::Whole;
    let files = if whole { files(reader, key, tree, home) } else { TreeFiles::new() };
    let mut lines = Vec::with_capacity(tree.entries.len() + 1);
    for entry in &tree.entries {
        let what = match depth {
            _ if entry.found.is_dir() => "dir".to_owned(),
            _ if entry.found.is_symlink() => link(&entry.path, home),
            _ if !entry.found.is_file() => "other".to_owned(),
            Depth::Shape(_) => format!("{} bytes", entry.found.len()),
            Depth::Whole => files.get(&entry.name).map(|file| file.1.clone()).unwrap_or_default(),
        };
        lines.push(format!("{}\t{}\t{what}", entry.name, mode(entry)));
    }
    if whole {
        let now = reader.now;
        let settled = files.into_iter().filter(|(_, (stamp, _))| stamp.is_settled(now));
        let settled = settled.collect();
        reader.details().insert(key.to_path_buf(), settled);
    }
    if lines.is_empty() {
        return String::new();
    }
    if lines.len() >= MAX_ENTRIES {
        lines.push("and more".to_owned());
    }
    DigestFunction::Blake3.digest(lines.join("\n").as_bytes()).hash_hex()
}

/// The digests of all files of a tree. Reading takes all cores: a first look reads some hundred megabytes.
fn files(reader: &mut Reader, key: &Path, tree: &Tree, home: Option<&Path>) -> TreeFiles {
    let known = reader.details().remove(key).unwrap_or_default();
    let files: Vec<&Entry> = tree.entries.iter().filter(|entry| entry.found.is_file()).collect();
    let digest = |chunk: &[&Entry]| -> Vec<(String, (Stamp, String))> {
        chunk.iter().map(|entry| (entry.name.clone(), file(entry, &known, home))).collect()
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    // Fewer files than this are read before a thread has started.
    let chunk = files.len().div_ceil(threads).max(64);
    thread::scope(|scope| {
        let (mut found, mut running) = (TreeFiles::new(), Vec::new());
        for part in files.chunks(chunk) {
            match thread::Builder::new().spawn_scoped(scope, || digest(part)) {
                Ok(thread) => running.push((thread, part)),
                Err(_) => found.extend(digest(part)),
            }
        }
        for (thread, part) in running {
            found.extend(thread.join().unwrap_or_else(|_| digest(part)));
        }
        found
    })
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
