//! Opening directories far below a root, never through a symbolic link, however long the path is.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// The most of a path that is given to the kernel at once; it takes 4,095 bytes (`PATH_MAX`).
const CHUNK_BYTES: usize = 4000;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens the directory at `path` below `root` for reading. Empty for `root` itself. Every segment has to be
/// a directory: a symbolic link on the way is an error, and so is `..`.
pub(crate) fn open_dir(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    in_chunks(root, path, |at, chunk| {
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match openat2(at, chunk, DIRECTORY, Mode::empty(), within) {
            // Kernels before 5.6 do not have it, and old container profiles forbid it.
            Err(Errno::NOSYS | Errno::PERM) => segment_by_segment(at, chunk, step),
            opened => opened.map_err(io::Error::from),
        }
    })
}

/// As [`open_dir`], but gives the owner access to directories on the way that have none. Only for trees that
/// nobody else uses.
pub(crate) fn open_dir_unlocking(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    match open_dir(root, path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            unlock_root(root)?;
            in_chunks(root, path, |at, chunk| segment_by_segment(at, chunk, step_unlocking))
        }
        opened => opened,
    }
}

/// The root itself may be what keeps us out: `chmod 0 .` is all it takes.
fn unlock_root(root: BorrowedFd<'_>) -> io::Result<()> {
    let mode = Mode::from_raw_mode(rustix::fs::fstat(root)?.st_mode & 0o777);
    if mode.contains(Mode::RWXU) {
        return Ok(());
    }
    Ok(rustix::fs::chmod(proc_path(root, b""), mode | Mode::RWXU)?)
}

fn in_chunks(
    root: BorrowedFd<'_>,
    path: &[u8],
    open: impl Fn(BorrowedFd<'_>, &[u8]) -> io::Result<OwnedFd>,
) -> io::Result<OwnedFd> {
    let mut rest = path;
    let mut here: Option<OwnedFd> = None;
    while rest.len() > CHUNK_BYTES {
        // A name has at most 255 bytes, so there is a `/` in every chunk of a path that can exist.
        let Some(end) = rest[..CHUNK_BYTES].iter().rposition(|&byte| byte == b'/') else {
            return Err(io::ErrorKind::InvalidFilename.into());
        };
        here = Some(open(here.as_ref().map_or(root, OwnedFd::as_fd), &rest[..end])?);
        rest = &rest[end + 1..];
    }
    let rest = if rest.is_empty() { b"." } else { rest };
    open(here.as_ref().map_or(root, OwnedFd::as_fd), rest)
}

fn segment_by_segment(
    at: BorrowedFd<'_>,
    path: &[u8],
    step: fn(BorrowedFd<'_>, &[u8]) -> io::Result<OwnedFd>,
) -> io::Result<OwnedFd> {
    let mut here: Option<OwnedFd> = None;
    for name in path.split(|&byte| byte == b'/') {
        if name == b".." {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        here = Some(step(here.as_ref().map_or(at, OwnedFd::as_fd), name)?);
    }
    here.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn step(at: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    Ok(openat(at, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?)
}

fn step_unlocking(at: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    match step(at, name) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            unlock(at, name)?;
            step(at, name)
        }
        opened => opened,
    }
}

/// Gives the owner of a directory access to it; never to what a link in its place points to.
fn unlock(at: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = openat(at, name, flags, Mode::empty())?;
    // fchmod does not take an O_PATH descriptor; its /proc name does the same.
    Ok(rustix::fs::chmod(proc_path(dir.as_fd(), b""), Mode::RWXU)?)
}

/// A path that reaches `name` in an open directory without walking there again: short however deep the
/// directory lies, and blind to links on the way. Empty for the directory itself. Valid while `dir` is open.
pub(crate) fn proc_path(dir: BorrowedFd<'_>, name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    let mut path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd()));
    if !name.is_empty() {
        path.push(std::ffi::OsStr::from_bytes(name));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn links_and_dots_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("a/out")).unwrap();
        std::os::unix::fs::symlink("b", dir.path().join("a/in")).unwrap();
        let root = File::open(dir.path()).unwrap();
        let opens = |path: &[u8]| open_dir(root.as_fd(), path).is_ok();
        let steps = |path: &[u8]| segment_by_segment(root.as_fd(), path, step).is_ok();
        for (path, expected) in
            [("a", true), ("a/b", true), ("a/out", false), ("a/in", false), ("a/../..", false)]
        {
            assert_eq!(opens(path.as_bytes()), expected, "{path}");
            assert_eq!(steps(path.as_bytes()), expected, "{path} by segments");
        }
        assert!(opens(b""));
    }

    #[test]
    fn a_path_longer_than_the_kernel_takes_is_opened_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let root = File::open(dir.path()).unwrap();
        let name = [b'n'; 200];
        let mut path: Vec<u8> = Vec::new();
        for _ in 0..50 {
            let here = open_dir(root.as_fd(), &path).unwrap();
            rustix::fs::mkdirat(&here, &name[..], Mode::from_raw_mode(0o755)).unwrap();
            path = super::super::paths::join(&path, &name);
        }
        assert!(path.len() > 10_000);
        let deepest = open_dir(root.as_fd(), &path).unwrap();
        std::fs::write(proc_path(deepest.as_fd(), b"file"), "x").unwrap();
        assert_eq!(rustix::fs::statat(&deepest, "file", rustix::fs::AtFlags::empty()).unwrap().st_size, 1);
    }
}
