//! Which inodes this process has already hashed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use cullet_digest::Digest;
use rustix::fs::Stat;

use super::attributes;

/// Remembers `(digest, variant) → inode`. A content is hashed once per process: bytes that rot on disk do so
/// between processes far more often than within one, and a write through a link shows in the mtime, which is
/// compared every time. The ctime would be useless as a witness: every hard link that comes or goes changes it.
#[derive(Debug, Default)]
pub(super) struct Memo {
    inodes: Mutex<HashMap<(Digest, bool), u64>>,
}

/// About 20 MiB when full; more blobs than any run we know links. Beyond it memory starts over.
const CAPACITY: usize = 1 << 18;

impl Memo {
    /// Whether exactly this inode is known to hold the blob.
    #[allow(clippy::unnecessary_cast, reason = "the fields of stat differ in type between platforms")]
    pub(super) fn knows(&self, digest: &Digest, executable: bool, stat: &Stat) -> bool {
        attributes::is_normal(stat, executable)
            && self.lock().get(&(*digest, executable)) == Some(&(stat.st_ino as u64))
    }

    /// This inode was hashed, or written from hashed bytes.
    #[allow(clippy::unnecessary_cast, reason = "the fields of stat differ in type between platforms")]
    pub(super) fn remember(&self, digest: &Digest, executable: bool, stat: &Stat) {
        let mut inodes = self.lock();
        if inodes.len() >= CAPACITY {
            inodes.clear();
        }
        inodes.insert((*digest, executable), stat.st_ino as u64);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Digest, bool), u64>> {
        // A panic cannot leave the map half changed.
        self.inodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
