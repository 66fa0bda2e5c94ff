//! What earlier fingerprints read, kept in two small files: one that every run reads, and one with every single
//! file of the trees, which is only read when something in a tree has changed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A file changed as recently as this may change again without its times showing it.
const RACY: Duration = Duration::from_secs(2);

/// What every run reads.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// By path, what was read and the stamp it was read at. Text compares several times faster than paths do; two
    /// paths that only differ in what is no text have different inodes.
    pub(super) single: BTreeMap<String, (Stamp, Content)>,
    /// By root, the digest of a whole tree and how to see that it still holds.
    pub(super) trees: BTreeMap<PathBuf, TreeMemory>,
}

/// The files of a tree by their path in it: the stamp they were read at, and their digest.
pub(super) type TreeFiles = BTreeMap<String, (Stamp, String)>;

/// By root of the tree.
pub(super) type Details = BTreeMap<PathBuf, TreeFiles>;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Content {
    /// The digest of a file, in hexadecimal.
    File(String),
    /// The names in a directory, sorted.
    Names(Vec<String>),
}

/// What is remembered of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TreeMemory {
    /// A digest over the names and stamps of all its entries.
    pub(super) stamps: String,
    /// The digest of the tree itself.
    pub(super) value: String,
    /// The directories and files to look at each time.
    pub(super) watched: Vec<PathBuf>,
    /// The digest of their stamps.
    pub(super) watched_stamps: String,
    /// When the watched ones are not all: the time of the last look at all of them, in seconds since 1970.
    pub(super) checked_s: Option<u64>,
}

/// What changes when a file's contents or a directory's names do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    mode: u32,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Stamp {
    pub(super) fn of(found: &fs::Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            mode: found.mode(),
            size: found.size(),
            mtime: (found.mtime(), found.mtime_nsec()),
            ctime: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// As [`Stamp::of`], from the call that looks relative to an open directory.
    pub(super) fn of_stat(found: &rustix::fs::Stat) -> Self {
        Self {
            device: found.st_dev,
            inode: found.st_ino,
            mode: found.st_mode,
            size: u64::try_from(found.st_size).unwrap_or(0),
            mtime: (found.st_mtime, i64::try_from(found.st_mtime_nsec).unwrap_or(0)),
            ctime: (found.st_ctime, i64::try_from(found.st_ctime_nsec).unwrap_or(0)),
        }
    }

    /// Whether the stamp is old enough at `now` to be trusted later.
    pub(super) fn is_settled(&self, now: Duration) -> bool {
        let changed = Duration::from_secs(u64::try_from(self.mtime.0.max(self.ctime.0)).unwrap_or(0));
        now > changed + RACY
    }

    /// Appends the stamp in a form whose length is always the same.
    pub(super) fn append_to(&self, bytes: &mut Vec<u8>) {
        for number in [self.device, self.inode, u64::from(self.mode), self.size] {
            bytes.extend(number.to_le_bytes());
        }
        for number in [self.mtime.0, self.mtime.1, self.ctime.0, self.ctime.1] {
            bytes.extend(number.to_le_bytes());
        }
    }
}

/// The time since 1970.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Where the details lie, next to the memory.
pub(super) fn details_path(memory: &Path) -> PathBuf {
    memory.with_extension("files")
}

/// Anything unreadable counts as nothing remembered.
pub(super) fn load<T: DeserializeOwned + Default>(path: Option<&Path>) -> T {
    path.and_then(|path| fs::read(path).ok())
        .and_then(|bytes| postcard::from_bytes(&bytes).ok())
        .unwrap_or_default()
}

/// Replaces the file in one step: another cullet may be reading it. Failing costs time the next time, nothing else.
pub(super) fn store<T: Serialize>(path: &Path, memory: &T) {
    let Ok(bytes) = postcard::to_allocvec(memory) else { return };
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary).and_then(|mut file| file.write_all(&bytes));
    if written.and_then(|()| fs::rename(&temporary, path)).is_err() {
        let _ = fs::remove_file(&temporary);
    }
}
