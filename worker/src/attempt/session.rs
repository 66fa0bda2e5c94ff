//! The directory that one process works in, and what dead processes left beside it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cullet_cache::disk::spread;
use rustix::fs::{FlockOperation, flock};

use super::reclaim::{Reclaim, removed};
use super::remove::{remove_contents, remove_tree};

/// How often a name may already be taken before that is an error; names hold the process id and a counter.
const MAX_TRIES: u32 = 100;

/// A working directory of this process: `session-N/` with a locked `session-N.lock` beside it. The lock goes
/// with the process, so whoever can take it knows that nobody works there any more.
#[derive(Debug)]
pub(crate) struct Session {
    dir: PathBuf,
    lock: PathBuf,
    next: AtomicU64,
    /// Emptied directories for attempts to come: making and removing them costs a small step more than all
    /// else that surrounds it, on filesystems that allocate a block for each.
    free: Mutex<Vec<PathBuf>>,
    reclaim: Option<Arc<dyn Reclaim>>,
    _held: File,
}

/// How many emptied directories are kept: as many as steps may run at a time.
const MAX_FREE: usize = 256;

/// A directory of one attempt: `step/` for the executor, the rest for us. Removed when dropped.
#[derive(Debug)]
pub(crate) struct ScratchDir {
    path: PathBuf,
    reusable: bool,
    // The session's directory has to outlive what is in it.
    session: Arc<Session>,
}

impl Session {
    /// Removes what dead processes left in `work_dir`, and makes a directory there.
    pub(crate) fn open(work_dir: &Path, reclaim: Option<Arc<dyn Reclaim>>) -> io::Result<Arc<Self>> {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(work_dir)?;
        sweep(work_dir, reclaim.as_deref())?;
        let process = std::process::id();
        for number in 0..MAX_TRIES {
            let dir = work_dir.join(format!("session-{process}-{number}"));
            let lock = dir.with_extension("lock");
            if let Some(held) = create_locked(&lock)? {
                make_dir(&dir)?;
                make_dir(&dir.join("inputs"))?;
                let attempts = dir.join("attempts");
                make_dir(&attempts)?;
                // An overlay makes and removes seven inodes for every step.
                spread(File::open(attempts)?);
                let (next, free) = (AtomicU64::new(0), Mutex::default());
                return Ok(Arc::new(Self { dir, lock, next, free, reclaim, _held: held }));
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "no free session name"))
    }

    /// A path for an input root, where nothing is yet.
    pub(crate) fn input_root_path(&self) -> PathBuf {
        self.dir.join("inputs").join(self.number())
    }

    /// A directory for an attempt, whose `step/` belongs to `owner`.
    pub(crate) fn scratch(self: &Arc<Self>, owner: Option<(u32, u32)>) -> io::Result<ScratchDir> {
        let free = self.free().pop();
        if let Some(path) = free {
            return Ok(ScratchDir { path, reusable: false, session: Arc::clone(self) });
        }
        // With the process in it, because ext4 places it by its name.
        let name = format!("{}-{}", std::process::id(), self.number());
        let path = self.dir.join("attempts").join(name);
        make_dir(&path)?;
        let scratch = ScratchDir { path, reusable: false, session: Arc::clone(self) };
        let step = scratch.step();
        fs::DirBuilder::new().mode(0o755).create(&step)?;
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::chown(&step, Some(uid), Some(gid))?;
        }
        Ok(scratch)
    }

    fn free(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> String {
        self.next.fetch_add(1, Ordering::Relaxed).to_string()
    }
}

impl ScratchDir {
    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The part of the executor.
    pub(crate) fn step(&self) -> PathBuf {
        self.path.join("step")
    }

    /// Empties the directory and leaves it to another attempt. Only when the executor has returned: after an
    /// abandoned execution something may still be dying in there.
    pub(crate) fn recycle(mut self) {
        self.reusable = self.empty().is_ok();
    }

    fn empty(&self) -> io::Result<()> {
        let step = self.step();
        removed(self.session.reclaim.as_deref(), &step, || remove_contents(&step))?;
        for log in ["stdout", "stderr"] {
            remove_tree(&self.path.join(log))?;
        }
        Ok(())
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        let mut free = self.session.free();
        if self.reusable && free.len() < MAX_FREE {
            free.push(std::mem::take(&mut self.path));
            return;
        }
        drop(free);
        let who = self.session.reclaim.as_deref();
        report(&self.path, removed(who, &self.path, || remove_tree(&self.path)));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        remove_session(&self.dir, &self.lock, self.reclaim.as_deref());
    }
}

/// The lock goes last and only after its directory, which nobody would find without it.
fn remove_session(dir: &Path, lock: &Path, who: Option<&dyn Reclaim>) {
    let removed = removed(who, dir, || remove_tree(dir));
    if removed.is_ok() {
        let _ = fs::remove_file(lock);
    }
    report(dir, removed);
}

/// What cannot be removed now is swept by the next process; it must not fail a step that has its result.
pub(crate) fn report(path: &Path, removed: io::Result<()>) {
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "a working directory could not be removed");
    }
}

fn make_dir(path: &Path) -> io::Result<()> {
    // Others may pass through, because a step may run as another user, but not look around.
    fs::DirBuilder::new().mode(0o711).create(path)
}

/// Creates a lock file and locks it. None where another process has it, or swept it away in between.
fn create_locked(path: &Path) -> io::Result<Option<File>> {
    let file = match File::options().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        file => file?,
    };
    let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    Ok((locked && is_still_at(&file, path)).then_some(file))
}

fn is_still_at(file: &File, path: &Path) -> bool {
    let here = fs::symlink_metadata(path).map(|found| (found.dev(), found.ino())).ok();
    here.is_some() && here == file.metadata().map(|held| (held.dev(), held.ino())).ok()
}

/// Removes the sessions of processes that are gone.
fn sweep(work_dir: &Path, who: Option<&dyn Reclaim>) -> io::Result<()> {
    for entry in fs::read_dir(work_dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "lock") {
            sweep_locked(&path, who);
        } else if is_orphan(&path) {
            report(&path, removed(who, &path, || remove_tree(&path)));
        }
    }
    Ok(())
}

fn sweep_locked(lock: &Path, who: Option<&dyn Reclaim>) {
    let Ok(file) = File::options().write(true).open(lock) else { return };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && is_still_at(&file, lock) {
        remove_session(&lock.with_extension(""), lock, who);
    }
}

/// Whether this is a session's directory that lost its lock: whoever works there made the lock first and removes
/// it last. The age is for those that do it in another order.
fn is_orphan(path: &Path) -> bool {
    let named = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"session-"));
    let lost = || {
        let lock = fs::symlink_metadata(path.with_extension("lock"));
        lock.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let is_old = || {
        let modified = fs::symlink_metadata(path).and_then(|found| found.modified());
        modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age >= ORPHAN_AGE))
    };
    named && lost() && is_old()
}

/// Opening a session takes milliseconds; a minute allows for a machine under load.
const ORPHAN_AGE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn a_session_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let session = Session::open(dir.path(), None).unwrap();
        let scratch = session.scratch(None).unwrap();
        fs::create_dir_all(scratch.step().join("a/b")).unwrap();
        fs::write(scratch.path().join("stdout"), "x").unwrap();
        let first = scratch.path().to_owned();
        scratch.recycle();
        let scratch = session.scratch(None).unwrap();
        assert_eq!(scratch.path(), first);
        assert_eq!((entries(&first), entries(&scratch.step())), (1, 0));
        let abandoned = session.scratch(None).unwrap();
        let gone = abandoned.path().to_owned();
        drop(abandoned);
        assert!(!gone.exists());
        drop(session);
        assert!(scratch.path().exists());
        drop(scratch);
        assert_eq!(entries(dir.path()), 0);
    }

    #[test]
    fn dead_sessions_are_swept_and_living_ones_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let dead = dir.path().join("session-1-0");
        fs::create_dir_all(dead.join("attempts/0/upper")).unwrap();
        fs::write(dead.with_extension("lock"), "").unwrap();
        let one = Session::open(dir.path(), None).unwrap();
        assert!(!dead.exists() && !dead.with_extension("lock").exists());
        let two = Session::open(dir.path(), None).unwrap();
        assert!(one.dir.exists() && two.dir.exists());
        assert_ne!(one.dir, two.dir);
    }

    #[test]
    fn what_cannot_be_removed_keeps_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let [lock, file] = ["session-1-0.lock", "file"].map(|name| dir.path().join(name));
        for path in [&lock, &file] {
            fs::write(path, "").unwrap();
        }
        remove_session(&file.join("unreachable"), &lock, None);
        assert!(lock.exists());
        remove_session(&file, &lock, None);
        assert_eq!(entries(dir.path()), 0);
    }

    #[test]
    fn old_directories_without_a_lock_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let [old, young, other] = ["session-1-0", "session-2-0", "mine"].map(|name| dir.path().join(name));
        for path in [&old, &young, &other] {
            fs::create_dir_all(path.join("inputs/0")).unwrap();
        }
        for path in [&old, &other] {
            let then = std::time::SystemTime::now() - 2 * ORPHAN_AGE;
            File::open(path).unwrap().set_modified(then).unwrap();
        }
        let _session = Session::open(dir.path(), None).unwrap();
        assert_eq!([&old, &young, &other].map(|path| path.exists()), [false, true, true]);
    }
}
