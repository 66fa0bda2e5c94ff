//! The directory of one process for files in the making.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::spread::spread;

/// `tmp/<pid>-<number>`. The lock on the directory itself tells others that it is in use; the kernel drops it
/// when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Scratch {
    fd: OwnedFd,
    path: PathBuf,
    /// Where drafts are made, once there are some; none where it cannot be made.
    drafts: OnceLock<Option<OwnedFd>>,
    next: AtomicU64,
}

/// How often a name is tried: others sweep a directory only in the instant between its making and its locking.
const ATTEMPTS: u32 = 100;

impl Scratch {
    /// Makes and locks a directory below `tmp`.
    pub(crate) fn create(tmp: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        for _ in 0..ATTEMPTS {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = tmp.join(format!("{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => {}
                // A process of another container may have the same id, as may a dead one whose rubbish is left.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
            if let Some(fd) = lock(&path)? {
                return Ok(Self { fd, path, drafts: OnceLock::new(), next: AtomicU64::new(0) });
            }
        }
        Err(io::Error::other("no free name for a temporary directory"))
    }

    /// Removes what dead processes left. Best effort: what cannot be removed now is tried by the next process.
    pub(crate) fn sweep(tmp: &Path) {
        let Ok(entries) = fs::read_dir(tmp) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            match lock(&path) {
                Ok(Some(_held)) => drop(fs::remove_dir_all(&path)),
                Ok(None) => {}
                // Not ours to judge, or a stray file.
                Err(_) => drop(fs::remove_file(&path)),
            }
        }
    }

    /// A name that nothing has here.
    pub(super) fn fresh(&self) -> String {
        self.next.fetch_add(1, Ordering::Relaxed).to_string()
    }

    /// A directory for drafts. One of its own, made when it is first asked for, because many files are made in
    /// it; see [`spread`].
    pub(super) fn drafts(&self) -> BorrowedFd<'_> {
        let made = self.drafts.get_or_init(|| self.make_drafts().ok());
        made.as_ref().unwrap_or(&self.fd).as_fd()
    }

    fn make_drafts(&self) -> rustix::io::Result<OwnedFd> {
        spread(&self.fd);
        // ext4 places it by its name, which therefore differs between processes.
        let name = format!("drafts-{}", std::process::id());
        rustix::fs::mkdirat(&self.fd, &*name, Mode::from_raw_mode(0o755))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, &*name, flags, Mode::empty())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes a draft; it may be gone already.
    pub(super) fn remove(&self, name: &str) {
        let _ = rustix::fs::unlinkat(self.drafts(), name, AtFlags::empty());
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Whatever stays is swept by a later process.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The directory, locked; none where another process holds it or has just removed it.
fn lock(path: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let gone = rustix::fs::fstat(&fd)?.st_nlink == 0;
    Ok((!gone).then_some(fd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_holds_is_swept() {
        let tmp = tempfile::tempdir().unwrap();
        let alive = Scratch::create(tmp.path()).unwrap();
        fs::create_dir(tmp.path().join("1-dead")).unwrap();
        fs::write(tmp.path().join("1-dead/0"), "x").unwrap();
        fs::write(tmp.path().join("stray"), "x").unwrap();
        Scratch::sweep(tmp.path());
        let left: Vec<_> = fs::read_dir(tmp.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(left, [alive.path().to_owned()]);
        let path = alive.path().to_owned();
        drop(alive);
        assert!(!path.exists());
    }
    #[test]
    fn drafts_are_made_in_one_directory_that_goes_with_the_rest() {
        let tmp = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(tmp.path()).unwrap();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
        for name in ["a", "b"] {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
            rustix::fs::openat(scratch.drafts(), name, flags, Mode::RUSR).unwrap();
        }
        scratch.remove("a");
        let below = |dir: &Path| fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
        let [drafts] = &*below(scratch.path()) else { panic!("one directory") };
        assert_eq!(below(drafts), [drafts.join("b")]);
        drop(scratch);
        assert_eq!(below(tmp.path()), Vec::<PathBuf>::new());
    }
}
