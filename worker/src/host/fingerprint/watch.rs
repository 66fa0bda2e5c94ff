//! Which remembered trees are as they were: what is looked at on every run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cullet_digest::DigestFunction;
use rustix::fs::{AtFlags, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::memory::TreeMemory;
use super::walk::{Entry, Tree};
use crate::host::check::{self, Check};
use crate::host::stamp::Stamp;

/// Of a tree with more files than this only directories are looked at each time, which shows every file that was
/// added, removed, renamed or replaced in them, but not one that was written in place. `/usr/bin` of a developer's
/// machine has fewer.
const MANY_FILES: usize = 2500;
/// The most directories of such a tree that are looked at each time, level by level from its root.
const MAX_DIRS: usize = 128;
/// How long that may go on before every file is looked at again.
const RECHECK_S: u64 = 600;

/// What to look at each time to see that a tree has not changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::host) struct Watched {
    dirs: Vec<WatchedDir>,
    /// The digest of the stamps of all of them.
    stamps: String,
    /// When they are not all there is: the time of the last look at everything, in seconds since 1970.
    checked_s: Option<u64>,
}

/// A directory, and files in it. Thousands of files are looked at on every run: looking from their open directory
/// saves the kernel the way to it, and one text for all names saves this program thousands of small ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct WatchedDir {
    path: String,
    /// Each with a zero byte after it, which no name contains.
    names: String,
}

/// What to watch of `tree`, which was walked at `now_s`; none where a name is no text. Links are not looked at: they
/// cannot be changed, only replaced, which changes their directory. `contents` says whether those of files count.
///
/// The stamps are those of the walk: what changes while files are read must be seen the next time.
pub(super) fn watched(tree: &Tree, contents: bool, now_s: u64) -> Option<Watched> {
    let files = || tree.entries.iter().filter(|entry| entry.found.is_file());
    let all = contents && files().count() <= MANY_FILES;
    let mut in_dir: BTreeMap<&Path, Vec<&Entry>> = BTreeMap::new();
    for entry in files().take_while(|_| all) {
        in_dir.entry(entry.path.parent()?).or_default().push(entry);
    }
    let (mut dirs, mut bytes) = (Vec::new(), Vec::new());
    for (path, stamp) in tree.dirs.iter().take(if all { usize::MAX } else { MAX_DIRS }) {
        stamp.append_to(&mut bytes);
        let mut names = String::new();
        for entry in in_dir.get(path.as_path()).into_iter().flatten() {
            names.push_str(entry.path.file_name()?.to_str()?);
            names.push('\0');
            Stamp::of(&entry.found).append_to(&mut bytes);
        }
        dirs.push(WatchedDir { path: path.to_str()?.to_owned(), names });
    }
    let stamps = DigestFunction::Blake3.digest(&bytes).hash_hex();
    Some(Watched { dirs, stamps, checked_s: (!all).then_some(now_s) })
}

impl Watched {
    /// About how much there is to look at.
    pub(in crate::host) fn len(&self) -> usize {
        // A name has some eight letters.
        self.dirs.iter().map(|dir| 2 + dir.names.len() / 8).sum()
    }

    /// Whether everything looks as it did, and that is enough to know.
    pub(in crate::host) fn holds(&self, now_s: u64) -> bool {
        let age = |then| now_s.checked_sub(then);
        let fresh = self.checked_s.is_none_or(|then| age(then).is_some_and(|age| age < RECHECK_S));
        fresh && self.look().as_ref() == Some(&self.stamps)
    }

    /// The digest of the stamps now; none when something is missing.
    fn look(&self) -> Option<String> {
        let mut bytes = Vec::with_capacity(self.len() * 64);
        for dir in &self.dirs {
            // The root of a tree may be a link; nothing else is.
            if dir.names.is_empty() {
                Stamp::of_stat(&rustix::fs::stat(dir.path.as_str()).ok()?).append_to(&mut bytes);
                continue;
            }
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let open = rustix::fs::open(dir.path.as_str(), flags, Mode::empty()).ok()?;
            Stamp::of_stat(&rustix::fs::fstat(&open).ok()?).append_to(&mut bytes);
            for name in dir.names.split_terminator('\0') {
                let found = rustix::fs::statat(&open, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
                Stamp::of_stat(&found).append_to(&mut bytes);
            }
        }
        Some(DigestFunction::Blake3.digest(&bytes).hash_hex())
    }
}

/// The roots of the trees that are as they were.
pub(super) fn unchanged(trees: &BTreeMap<PathBuf, TreeMemory>, now_s: u64) -> BTreeSet<PathBuf> {
    let checks: Vec<Check<'_>> = trees.values().map(|memory| Check::Tree(&memory.watched)).collect();
    let hold = check::all(&checks, now_s);
    trees.keys().zip(hold).filter(|(_, holds)| *holds).map(|(root, _)| root.clone()).collect()
}
