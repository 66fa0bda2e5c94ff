//! What a step wrote, made fit for steps to come.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io;

use super::VolumeError;
use crate::layers::{Places, open_dir_unlocking};

/// What every name takes at least: an inode and its part of a directory, as filesystems count them.
pub(super) const LEAST_BYTES: u64 = 4096;

/// How much something takes of the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) bytes: u64,
}

impl Size {
    /// Counts one more, and says when that is too much.
    pub(super) fn add(&mut self, stat: &Stat, most: u64) -> Result<(), VolumeError> {
        let bytes = u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        self.bytes += bytes.max(LEAST_BYTES);
        if self.bytes > most { Err(VolumeError::TooLarge(most)) } else { Ok(()) }
    }
}

/// Opens a directory to look below it.
pub(super) fn open_root(dir: &Path) -> Result<OwnedFd, VolumeError> {
    let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, dir, flags, Mode::empty()).map_err(VolumeError::io("open", dir))
}

/// Makes everything below `dir`, which nobody else uses, a part of a volume: files belong to the user of steps, directories
/// can be entered by it, nothing runs with another's rights, and what is neither file, directory nor link goes. Of an
/// overlay's upper directory, the marks for what it hides stay.
pub(super) fn tidy(dir: &Path, owner: Option<(u32, u32)>, most: u64) -> Result<Size, VolumeError> {
    let root = open_root(dir)?;
    let (mut size, mut places) = (Size::default(), Places::default());
    let mut pending = vec![places.start(b"")];
    while let Some(here) = pending.pop() {
        let failed = |error: std::io::Error| VolumeError::io("read what a step left in", dir)(error);
        let opened = open_dir_unlocking(root.as_fd(), &places.path(here)).map_err(failed)?;
        let stat = rustix::fs::fstat(&opened).map_err(|error| failed(error.into()))?;
        size.add(&stat, most)?;
        tidy_dir(&opened, &stat, owner).map_err(|error| failed(error.into()))?;
        for entry in Dir::read_from(&opened).map_err(|error| failed(error.into()))? {
            let entry = entry.map_err(|error| failed(error.into()))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let stat = rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| failed(error.into()))?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                pending.push(places.child(here, name));
                continue;
            }
            if tidy_entry(opened.as_fd(), name, &stat, owner).map_err(|error| failed(error.into()))? {
                size.add(&stat, most)?;
            }
        }
    }
    Ok(size)
}

/// Set-user-id and set-group-id.
const OTHERS_RIGHTS: u32 = 0o6000;

fn tidy_dir(dir: &OwnedFd, stat: &Stat, owner: Option<(u32, u32)>) -> io::Result<()> {
    if let Some((uid, gid)) = owner.filter(|owner| *owner != (stat.st_uid, stat.st_gid)) {
        rustix::fs::fchown(dir, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    let (is, wanted) = (stat.st_mode & 0o7777, (stat.st_mode & 0o1777) | 0o700);
    if is != wanted { rustix::fs::fchmod(dir, Mode::from_raw_mode(wanted)) } else { Ok(()) }
}

/// Whether it stays.
fn tidy_entry(at: BorrowedFd<'_>, name: &[u8], stat: &Stat, owner: Option<(u32, u32)>) -> io::Result<bool> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    let hides = kind == FileType::CharacterDevice && stat.st_rdev == 0;
    if !hides && !matches!(kind, FileType::RegularFile | FileType::Symlink) {
        rustix::fs::unlinkat(at, name, AtFlags::empty())?;
        return Ok(false);
    }
    if let Some((uid, gid)) = owner.filter(|owner| !hides && *owner != (stat.st_uid, stat.st_gid)) {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::chownat(at, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if kind == FileType::RegularFile && stat.st_mode & OTHERS_RIGHTS != 0 {
        rustix::fs::chmodat(at, name, Mode::from_raw_mode(stat.st_mode & 0o1777), AtFlags::empty())?;
    }
    Ok(true)
}
