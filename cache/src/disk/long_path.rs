//! Opening a file whatever the length of its path.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

/// The most of a path that is given to the kernel at once; it takes 4,095 bytes (`PATH_MAX`), and one more name
/// of at most 255 has to fit.
const PART_BYTES: usize = 3800;

/// Opens a file with `flags`, in parts where its path is longer than the kernel takes.
pub(super) fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let open = |at: Option<&OwnedFd>, path: &Path, flags| match at {
        Some(at) => openat(at.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty()),
        None => openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty()),
    };
    match open(None, path, flags) {
        Err(Errno::NAMETOOLONG) => {}
        opened => return Ok(opened?.into()),
    }
    let mut at: Option<OwnedFd> = None;
    let mut part = PathBuf::new();
    for component in path.components() {
        if part.as_os_str().as_bytes().len() > PART_BYTES {
            at = Some(open(at.as_ref(), &part, OFlags::PATH | OFlags::DIRECTORY)?);
            part.clear();
        }
        part.push(component);
    }
    Ok(open(at.as_ref(), &part, flags)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn a_file_deeper_than_a_path_may_be_long() {
        let dir = tempfile::tempdir().unwrap();
        let name = "d".repeat(200);
        let mut path = dir.path().to_owned();
        let mut at: OwnedFd = File::open(&path).unwrap().into();
        for _ in 0..50 {
            rustix::fs::mkdirat(&at, &*name, Mode::from_raw_mode(0o755)).unwrap();
            at = openat(&at, &*name, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
            path.push(&name);
        }
        let made = openat(&at, "file", OFlags::WRONLY | OFlags::CREATE, Mode::from_raw_mode(0o644)).unwrap();
        rustix::io::write(&made, b"deep").unwrap();
        let mut text = String::new();
        open(&path.join("file"), OFlags::RDONLY).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "deep");
        assert!(open(&path.join("other"), OFlags::RDONLY).is_err());
    }
}
