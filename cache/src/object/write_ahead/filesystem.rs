//! What can be asked of the filesystem of a directory.

use std::fs::File;
use std::io;
use std::path::Path;

/// What is known of a filesystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filesystem {
    /// Everything that was written to it can be made durable at once (`syncfs`).
    pub(super) syncs_all: bool,
    /// It is of this machine, so that its locks hold for everybody. Locks of others may be of each machine alone: NFS with
    /// `nolock` or `local_lock`, and most of what FUSE serves.
    pub(super) locks_hold: bool,
}

impl Filesystem {
    /// Only what is certain everywhere.
    const UNKNOWN: Self = Self { syncs_all: false, locks_hold: false };

    /// That of an open file or directory.
    pub(super) fn of(file: &File) -> Self {
        let found = kind(file);
        found.unwrap_or(Self::UNKNOWN)
    }
}

#[cfg(target_os = "linux")]
#[allow(
    clippy::cast_lossless,
    clippy::unnecessary_cast,
    reason = "the constants differ in type between platforms"
)]
fn kind(file: &File) -> io::Result<Filesystem> {
    /// Not among the constants of the library.
    const ZFS: u32 = 0x2fc1_2fc1;
    // The numbers have 32 bits; some platforms extend the sign of those whose highest is set.
    let kind = rustix::fs::fstatfs(file)?.f_type as u32;
    let is = |kinds: &[u32]| kinds.contains(&kind);
    let local = is(&[
        libc::EXT4_SUPER_MAGIC as u32, // that of ext2 and ext3 as well
        libc::XFS_SUPER_MAGIC as u32,
        libc::BTRFS_SUPER_MAGIC as u32,
        libc::F2FS_SUPER_MAGIC as u32,
        libc::TMPFS_MAGIC as u32,
        libc::OVERLAYFS_SUPER_MAGIC as u32,
        ZFS,
    ]);
    Ok(Filesystem { syncs_all: local || is(&[libc::NFS_SUPER_MAGIC as u32]), locks_hold: local })
}

#[cfg(not(target_os = "linux"))]
fn kind(_: &File) -> io::Result<Filesystem> {
    Ok(Filesystem::UNKNOWN)
}

/// Makes everything durable that was written to the filesystem of this file since it was opened.
#[cfg(target_os = "linux")]
pub(super) fn sync_all(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn sync_all(_: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Has the kernel ask a server what is in this directory now: a network filesystem remembers names, and that there are none, for up
/// to a minute.
#[cfg(target_os = "linux")]
pub(super) fn ask_again(dir: &Path) {
    use rustix::fs::{AtFlags, CWD, StatxFlags};
    // Where it fails, what uses the directory next says so.
    let _ = rustix::fs::statx(CWD, dir, AtFlags::STATX_FORCE_SYNC, StatxFlags::MTIME);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn ask_again(_: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filesystems_in_memory_are_known_and_the_kernels_own_are_not() {
        let of = |path: &str| Filesystem::of(&File::open(path).unwrap());
        assert_eq!(of("/dev/shm"), Filesystem { syncs_all: true, locks_hold: true });
        assert_eq!(of("/proc/self"), Filesystem::UNKNOWN);
        ask_again(Path::new("/dev/shm"));
        ask_again(Path::new("/nowhere"));
    }
}
