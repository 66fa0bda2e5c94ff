//! Which remembered trees are as they were: what is looked at on every run.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use cullet_digest::DigestFunction;
use rustix::fs::{AtFlags, Mode, OFlags};

use super::memory::{Stamp, TreeMemory};
use super::walk::Tree;

/// Of a tree with more files than this only directories are looked at each time, which shows every file that was
/// added, removed, renamed or replaced in them, but not one that was written in place. `/usr/bin` of a developer's
/// machine has fewer.
const MANY_FILES: usize = 2500;
/// The most directories of such a tree that are looked at each time, level by level from its root.
const MAX_DIRS: usize = 128;
/// How long that may go on before every file is looked at again.
const RECHECK_S: u64 = 600;
/// Looking at a file takes a microsecond or two. More threads than this cost more to start than they save.
const MAX_THREADS: usize = 4;

/// What to look at each time, the digest of its stamps, and whether it is all there is.
pub(super) struct Watched {
    pub(super) paths: Vec<PathBuf>,
    pub(super) stamps: String,
    pub(super) all: bool,
}

/// What to look at each time to see that `tree` has not changed. Links are not looked at: they cannot be changed,
/// only replaced, which changes their directory. `contents` says whether those of files count.
///
/// The stamps are those of the walk: what changes while files are read must be seen the next time.
pub(super) fn watched(tree: &Tree, contents: bool) -> Watched {
    let (mut paths, mut bytes) = (Vec::new(), Vec::new());
    let files = || tree.entries.iter().filter(|entry| entry.found.is_file());
    let all = contents && files().count() <= MANY_FILES;
    for (path, stamp) in tree.dirs.iter().take(if all { usize::MAX } else { MAX_DIRS }) {
        paths.push(path.clone());
        stamp.append_to(&mut bytes);
    }
    for entry in files().take_while(|_| all) {
        paths.push(entry.path.clone());
        Stamp::of(&entry.found).append_to(&mut bytes);
    }
    Watched { paths, stamps: DigestFunction::Blake3.digest(&bytes).hash_hex(), all }
}

/// The digest of the stamps of all these; `None` when one is missing.
///
/// Thousands of files are looked at on every run, most of them in one directory after the other: looking from an
/// open directory saves the kernel the way to it.
fn stamps(paths: &[PathBuf]) -> Option<String> {
    let mut bytes = Vec::with_capacity(paths.len() * 64);
    let mut open: Option<(&Path, OwnedFd)> = None;
    for path in paths {
        let (parent, name) = (path.parent()?, path.file_name()?);
        if open.as_ref().is_none_or(|(known, _)| *known != parent) {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            open = Some((parent, rustix::fs::open(parent, flags, Mode::empty()).ok()?));
        }
        let (_, directory) = open.as_ref()?;
        // No link is among them but the root of a tree may be one.
        let found = rustix::fs::statat(directory, name, AtFlags::empty()).ok()?;
        Stamp::of_stat(&found).append_to(&mut bytes);
    }
    Some(DigestFunction::Blake3.digest(&bytes).hash_hex())
}

/// The roots of the trees that are as they were.
pub(super) fn unchanged(trees: &BTreeMap<PathBuf, TreeMemory>, now_s: u64) -> BTreeSet<PathBuf> {
    let mut fresh: Vec<_> = trees.iter().filter(|(_, memory)| is_fresh(memory, now_s)).collect();
    // The largest first, so that no thread is left with it at the end.
    fresh.sort_by_key(|(_, memory)| std::cmp::Reverse(memory.watched.len()));
    let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    let work = || {
        while let Some((root, memory)) = fresh.get(next.fetch_add(1, Ordering::Relaxed)) {
            if stamps(&memory.watched).as_ref() == Some(&memory.watched_stamps) {
                add(&found, root);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_THREADS));
    thread::scope(|scope| {
        for _ in 1..threads.min(fresh.len()) {
            // Without a thread, this one does the work.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    found.into_inner().unwrap_or_default()
}

/// A tree that is missing here is read again, so a poisoned lock costs time only.
fn add(found: &Mutex<BTreeSet<PathBuf>>, root: &Path) {
    if let Ok(mut found) = found.lock() {
        found.insert(root.to_path_buf());
    }
}

fn is_fresh(memory: &TreeMemory, now_s: u64) -> bool {
    memory.checked_s.is_none_or(|then| now_s.checked_sub(then).is_some_and(|age| age < RECHECK_S))
}
