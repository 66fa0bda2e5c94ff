//! Quotas of projects: the kernel keeps what a step has on the disk within bounds, where the filesystem counts by project
//! (ext4 and xfs that are mounted with `prjquota`) and this process is root.
//!
//! A project is a number that files and directories have, and that those below inherit. Each step gets one of its own while
//! it runs. Sources: quotactl(2), ioctl_xfs_fssetxattr(2), and `Documentation/filesystems/quota.rst` of Linux.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};

/// Numbers that are drawn from: far above those that people write into `/etc/projects`.
const FIRST_PROJECT: u32 = 0x7F00_0000;
const PROJECTS: u32 = 1 << 24;
/// How many are looked at until one is free. Each step takes one, and gives it back.
const TRIES: u32 = 100;

/// The unit of limits.
const LIMIT_UNIT: u64 = 1024;

/// So little is left of a limit that the next write is refused: a block of the largest common size, and one for a directory.
const NOTHING_LEFT: u64 = 2 * (64 << 10);

const SET_QUOTA: libc::c_int = command(0x0080_0008);
const GET_QUOTA: libc::c_int = command(0x0080_0007);
/// That limits of space are set, and nothing else.
const SPACE_LIMITS: u32 = 1;

const fn command(number: libc::c_int) -> libc::c_int {
    const PROJECT_QUOTA: libc::c_int = 2;
    (number << 8) | PROJECT_QUOTA
}

/// `struct if_dqblk`.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct Block {
    hard_limit: u64,
    soft_limit: u64,
    bytes: u64,
    inode_hard_limit: u64,
    inode_soft_limit: u64,
    inodes: u64,
    grace: u64,
    inode_grace: u64,
    valid: u32,
}

/// `struct fsxattr`.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct Attributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    copy_extent_size: u32,
    padding: [u8; 8],
}

const GET_ATTRIBUTES: libc::c_ulong = 0x801c_581f;
const SET_ATTRIBUTES: libc::c_ulong = 0x401c_5820;
/// What is made in a directory gets its project.
const INHERITED: u32 = 0x200;

/// The quota of one step. Dropping it takes the project away again from all that the step has written.
#[derive(Debug)]
pub(super) struct Quota {
    dir: PathBuf,
    root: OwnedFd,
    project: u32,
    /// Bytes.
    limit: u64,
}

impl Quota {
    /// Bounds what is written below `dir`, in which there are nothing but directories by now. None where the machine cannot
    /// do that, or will not let this process.
    pub(super) fn set(dir: &Path, limit: u64) -> Option<Self> {
        let root = OwnedFd::from(File::open(dir).ok()?);
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let project = free_project(root.as_fd())?;
        let quota = Self { dir: dir.to_owned(), root, project, limit };
        let rounded = limit.div_ceil(LIMIT_UNIT);
        let block = Block { hard_limit: rounded, valid: SPACE_LIMITS, ..Block::default() };
        set_quota(quota.root.as_fd(), project, block).ok()?;
        // What is set halfway goes with the value.
        quota.mark(project, INHERITED).ok()?;
        Some(quota)
    }

    /// The bytes that the step has, where it has nearly all that it may have.
    pub(super) fn used_up(&self) -> Option<u64> {
        let bytes = get_quota(self.root.as_fd(), self.project).ok()?.bytes;
        (bytes.saturating_add(NOTHING_LEFT.min(self.limit / 2)) > self.limit).then_some(bytes)
    }

    /// Gives the directory and all directories and files below it this project.
    fn mark(&self, project: u32, inherited: u32) -> io::Result<()> {
        set_project(self.root.as_fd(), project, inherited)?;
        let mut pending = vec![OwnedFd::from(File::open(&self.dir)?)];
        while let Some(dir) = pending.pop() {
            for entry in Dir::read_from(&dir)? {
                let entry = entry?;
                let name = entry.file_name();
                if name == c"." || name == c".." {
                    continue;
                }
                let kind = FileType::from_raw_mode(statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
                // Links and devices are removed with the step.
                let (flags, inherited) = match kind {
                    FileType::Directory => (OFlags::DIRECTORY, inherited),
                    FileType::RegularFile => (OFlags::NONBLOCK, 0),
                    _ => continue,
                };
                let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let found = openat(&dir, name, flags, Mode::empty())?;
                set_project(found.as_fd(), project, inherited)?;
                if kind == FileType::Directory {
                    pending.push(found);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // First: files of no limited project can be moved, and be in another one later.
        if let Err(error) = self.mark(0, 0) {
            tracing::warn!(dir = %self.dir.display(), %error, "files keep the project of a step's disk quota");
        }
        let nothing = Block { valid: SPACE_LIMITS, ..Block::default() };
        if let Err(error) = set_quota(self.root.as_fd(), self.project, nothing) {
            tracing::warn!(project = self.project, %error, "a step's disk quota could not be removed");
        }
    }
}

/// A project that no file has and that has no limit.
fn free_project(at: BorrowedFd<'_>) -> Option<u32> {
    for _ in 0..TRIES {
        let project = FIRST_PROJECT + fastrand::u32(..PROJECTS);
        match get_quota(at, project) {
            Ok(Block { hard_limit: 0, bytes: 0, inodes: 0, .. }) => return Some(project),
            // Nobody has ever had it.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Some(project),
            Ok(_) => {}
            Err(_) => return None,
        }
    }
    None
}

fn get_quota(at: BorrowedFd<'_>, project: u32) -> io::Result<Block> {
    let mut block = Block::default();
    quotactl(at, GET_QUOTA, project, &mut block)?;
    Ok(block)
}

fn set_quota(at: BorrowedFd<'_>, project: u32, mut block: Block) -> io::Result<()> {
    quotactl(at, SET_QUOTA, project, &mut block)
}

fn quotactl(at: BorrowedFd<'_>, command: libc::c_int, project: u32, block: &mut Block) -> io::Result<()> {
    // SAFETY: the kernel reads or writes a struct if_dqblk, which outlives the call.
    let done = unsafe {
        libc::syscall(libc::SYS_quotactl_fd, at.as_raw_fd(), command, project, std::ptr::from_mut(block))
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn set_project(file: BorrowedFd<'_>, project: u32, inherited: u32) -> io::Result<()> {
    let mut attributes = Attributes::default();
    ask(file, GET_ATTRIBUTES, &mut attributes)?;
    attributes.project = project;
    attributes.flags = attributes.flags & !INHERITED | inherited;
    ask(file, SET_ATTRIBUTES, &mut attributes)
}

fn ask(file: BorrowedFd<'_>, request: libc::c_ulong, attributes: &mut Attributes) -> io::Result<()> {
    // SAFETY: the kernel reads or writes a struct fsxattr, which outlives the call.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), request as _, std::ptr::from_mut(attributes)) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
