//! What earlier fingerprints read, kept in one small file.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A file changed as recently as this may change again without its times showing it.
const RACY: Duration = Duration::from_secs(2);

/// By path, what was read and the stamp it was read at.
pub(super) type Memory = BTreeMap<PathBuf, (Stamp, Content)>;

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Content {
    /// The digest of a file, in hexadecimal.
    File(String),
    /// The names in a directory, sorted.
    Names(Vec<String>),
}

/// What changes when a file's contents or a directory's names do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl Stamp {
    pub(super) fn of(found: &fs::Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            mtime: (found.mtime(), found.mtime_nsec()),
            ctime: (found.ctime(), found.ctime_nsec()),
        }
    }

    /// Whether the stamp is old enough to be trusted later.
    pub(super) fn is_settled(&self) -> bool {
        let changed = Duration::from_secs(u64::try_from(self.mtime.0.max(self.ctime.0)).unwrap_or(0));
        SystemTime::now().duration_since(UNIX_EPOCH).is_ok_and(|now| now > changed + RACY)
    }
}

/// Anything unreadable counts as nothing remembered.
pub(super) fn load(path: Option<&Path>) -> Memory {
    path.and_then(|path| fs::read(path).ok())
        .and_then(|bytes| postcard::from_bytes(&bytes).ok())
        .unwrap_or_default()
}

/// Replaces the file in one step: another cullet may be reading it. Failing costs time the next time, nothing else.
pub(super) fn store(path: &Path, memory: &Memory) {
    let Ok(bytes) = postcard::to_allocvec(memory) else { return };
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = fs::File::create(&temporary).and_then(|mut file| file.write_all(&bytes));
    if written.and_then(|()| fs::rename(&temporary, path)).is_err() {
        let _ = fs::remove_file(&temporary);
    }
}
