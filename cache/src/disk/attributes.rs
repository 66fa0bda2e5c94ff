//! What every inode of the CAS looks like from outside.

use std::os::fd::BorrowedFd;

use rustix::fs::{Gid, Mode, Stat, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io;

use super::recency;

/// 2010-01-01T00:00:00Z in seconds: recent enough for every archiver, old enough to be older than any output.
pub(super) const MTIME_S: i64 = 1_262_304_000;

/// Who owns the files, if that can be chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    owner: Option<(u32, u32)>,
}

impl Attributes {
    /// `owner` counts only for root: nobody else can give files away.
    pub(super) fn new(owner: Option<(u32, u32)>) -> Self {
        Self { owner: owner.filter(|_| rustix::process::geteuid().is_root()) }
    }

    /// Gives the file the attributes of its kind, changing only what differs from `stat`, and the atime.
    /// Called after the last write, which would change the mtime again.
    pub(super) fn apply(
        &self,
        file: BorrowedFd<'_>,
        stat: &Stat,
        executable: bool,
        atime_ns: i64,
    ) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner.filter(|&owner| owner != (stat.st_uid, stat.st_gid)) {
            rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        if stat.st_mode & 0o7777 != mode(executable).bits() {
            rustix::fs::fchmod(file, mode(executable))?;
        }
        let last_modification = Timespec { tv_sec: MTIME_S, tv_nsec: 0 };
        rustix::fs::futimens(
            file,
            &Timestamps { last_access: recency::timespec(atime_ns), last_modification },
        )
    }
}

/// The mode of a blob's inode.
pub(super) fn mode(executable: bool) -> Mode {
    Mode::from_raw_mode(if executable { 0o755 } else { 0o644 })
}

/// Whether an inode still looks as we left it. A write through a link would have changed the mtime, a chmod the
/// mode.
pub(super) fn is_normal(stat: &Stat, executable: bool) -> bool {
    stat.st_mtime == MTIME_S && stat.st_mtime_nsec == 0 && stat.st_mode & 0o7777 == mode(executable).bits()
}

/// Sets the atime and nothing else.
pub(super) fn atime_only(atime_ns: i64) -> Timestamps {
    let last_modification = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    Timestamps { last_access: recency::timespec(atime_ns), last_modification }
}
