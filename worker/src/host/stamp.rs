//! What of a file or directory changes when its contents do.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A file changed as recently as this may change again without its times showing it.
const RACY: Duration = Duration::from_secs(2);

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
    pub(super) fn of(found: &Metadata) -> Self {
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
