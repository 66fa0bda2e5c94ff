//! Removing a tree that a step may have made as hostile as it could.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, unlinkat};
use rustix::io::Errno;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory on the way down.
struct Frame {
    /// Its name in its parent.
    name: Vec<u8>,
    /// Which directory its parent is, so that `..` cannot lead anywhere else.
    parent: (u64, u64),
    /// Its subdirectories that are still there.
    left: Vec<Vec<u8>>,
}

/// Removes what is at `path`, however deep it is and whatever modes its directories have, following no link.
/// Holds one directory open at a time and does not recurse. Nothing there is no error. After an error the rest
/// is removed all the same, and the first error returned.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    // Most trees are an empty directory by now, or gone.
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR) => return Ok(rustix::fs::unlink(path)?),
        Err(_) => {}
    }
    remove_contents(path)?;
    Ok(rustix::fs::rmdir(path)?)
}

/// As [`remove_tree`], but leaves the directory itself, empty.
pub(crate) fn remove_contents(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = openat(CWD, parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    Removal { failed: None }.run(open_unlocked(parent.as_fd(), name.as_bytes())?)
}

struct Removal {
    failed: Option<io::Error>,
}

impl Removal {
    fn run(mut self, mut here: OwnedFd) -> io::Result<()> {
        let mut rest = self.empty_out(&here)?;
        let mut frames: Vec<Frame> = Vec::new();
        loop {
            let left = frames.last_mut().map_or(&mut rest, |frame| &mut frame.left);
            if let Some(child) = left.pop() {
                if let Err(error) = self.enter(&mut here, &mut frames, child) {
                    self.failed.get_or_insert(error);
                }
                continue;
            }
            let Some(done) = frames.pop() else { break };
            let above = openat(&here, "..", DIRECTORY, Mode::empty())?;
            if identity(&fstat(&above)?) != done.parent {
                return Err(io::Error::other("a directory was moved while it was removed"));
            }
            if let Err(error) = unlinkat(&above, &done.name[..], AtFlags::REMOVEDIR) {
                self.failed.get_or_insert(error.into());
            }
            here = above;
        }
        self.failed.map_or(Ok(()), Err)
    }

    fn enter(&mut self, here: &mut OwnedFd, frames: &mut Vec<Frame>, name: Vec<u8>) -> io::Result<()> {
        let next = open_unlocked(here.as_fd(), &name)?;
        let parent = identity(&fstat(&*here)?);
        let left = self.empty_out(&next)?;
        frames.push(Frame { name, parent, left });
        *here = next;
        Ok(())
    }

    /// Removes all entries but directories that are not empty, and returns those.
    fn empty_out(&mut self, dir: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
        let mut left = Vec::new();
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let is_directory = entry.file_type() == FileType::Directory;
            let flags = if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            match unlinkat(dir, name, flags) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR) => left.push(name.to_vec()),
                Err(_) if is_directory => left.push(name.to_vec()),
                Err(error) => drop(self.failed.get_or_insert(error.into())),
            }
        }
        Ok(left)
    }
}

/// Opens a subdirectory after giving its owner all rights to it.
fn open_unlocked(at: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let opened = crate::layers::open_dir_unlocking(at, name)?;
    if fstat(&opened)?.st_mode & 0o700 != 0o700 {
        rustix::fs::fchmod(&opened, Mode::RWXU)?;
    }
    Ok(opened)
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn locked_directories_links_and_strange_names_go() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, kept) = (dir.path().join("tree"), dir.path().join("kept"));
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::write(tree.join("a/b/c/file"), "x").unwrap();
        fs::write(tree.join(std::ffi::OsStr::from_bytes(b"\xff\n")), "x").unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "x").unwrap();
        std::os::unix::fs::symlink(&kept, tree.join("a/link")).unwrap();
        for path in ["a/b/c", "a/b", "a"] {
            fs::set_permissions(tree.join(path), fs::Permissions::from_mode(0o0)).unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        assert!(kept.join("file").exists());
        remove_tree(&tree).unwrap();
    }

    #[test]
    fn four_thousand_levels_go() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut here: OwnedFd = fs::File::open(&tree).unwrap().into();
        for level in 0..4096 {
            rustix::fs::mkdirat(&here, "deep", Mode::from_raw_mode(0o755)).unwrap();
            if level % 64 == 0 {
                rustix::fs::mkdirat(&here, "beside", Mode::from_raw_mode(0)).unwrap();
            }
            here = openat(&here, "deep", DIRECTORY, Mode::empty()).unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists());
    }
}
