//! Makes the directory of an input root: hard links to blobs, with everything about it the same each time.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use cullet_cache::{BlobStore, StoreError};
use cullet_digest::{Digest, Directory, FileNode, SymlinkNode};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::error::InputError;
use super::queue::{Queue, Todo};
use crate::collect::shown;
use crate::layers::{join, open_dir, proc_path};
use crate::{LocalFiles, SourceFiles};

/// 2010-01-01T00:00:00Z, what the files of the cache have as well: a tool that looks at times sees the same
/// ones on every machine.
const MTIME_S: i64 = 1_262_304_000;
/// From this many entries on a second thread helps: linking one takes about as long as a tenth of a thread start.
const MANY_ENTRIES: usize = 256;
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// What an input root is made from.
pub(crate) struct Builder<'a> {
    pub(crate) blobs: &'a dyn BlobStore,
    pub(crate) files: &'a dyn LocalFiles,
    pub(crate) sources: &'a dyn SourceFiles,
    /// What `blobs` is waited for on; the builder itself blocks.
    pub(crate) runtime: Handle,
    /// User and group of directories and links, where this process can choose.
    pub(crate) owner: Option<(u32, u32)>,
    /// Cancelled when nobody wants the input root any more.
    pub(crate) stop: &'a CancellationToken,
}

struct Job<'a> {
    builder: &'a Builder<'a>,
    root: OwnedFd,
    /// The umask takes away from [`DIRECTORY_MODE`].
    masked: bool,
    queue: Queue,
}

impl Builder<'_> {
    /// Makes `target`, which does not exist, the directory that `root` describes. After an error what was made
    /// so far is still there.
    pub(crate) fn build(&self, root: &Digest, target: &Path) -> Result<(), InputError> {
        let (fd, masked) = make_root(target).map_err(|source| make_error(b"", source))?;
        let job = Job { builder: self, root: fd, masked, queue: Queue::new(*root) };
        job.work(MANY_ENTRIES);
        if job.queue.has_more() {
            std::thread::scope(|scope| {
                scope.spawn(|| job.work(usize::MAX));
                job.work(usize::MAX);
            });
        }
        job.queue.finish()
    }

    fn directory(&self, path: &[u8], digest: &Digest) -> Result<Option<Directory>, InputError> {
        if digest.is_empty() {
            return Ok(Some(Directory::default()));
        }
        let read = self.stop.run_until_cancelled(self.blobs.get(digest));
        let bytes = match self.runtime.block_on(read).ok_or(InputError::Stopped)? {
            Ok(blob) => blob.into_bytes().map_err(|source| make_error(path, source))?,
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => return Ok(None),
            Err(error) => return Err(InputError::Store(error)),
        };
        let directory = Directory::decode(digest.function(), &bytes);
        directory.map(Some).map_err(|source| InputError::Invalid { path: shown(path), source })
    }

    /// Links the file; false where its content cannot be had.
    fn link(&self, file: &FileNode, dest: &Path) -> Result<bool, InputError> {
        let link = || match self.files.link_to(&file.digest, file.executable, dest) {
            Ok(()) => Ok(true),
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => Ok(false),
            Err(error) => Err(InputError::Store(error)),
        };
        if link()? {
            return Ok(true);
        }
        let Some(source) = self.sources.locate(&file.digest) else { return Ok(false) };
        match self.files.ingest_copy(&file.digest, &source) {
            Ok(()) => link(),
            Err(StoreError::Mismatch { .. }) => Err(InputError::Changed(source)),
            Err(StoreError::Io { source: error, .. }) if error.kind() == io::ErrorKind::NotFound => {
                Err(InputError::Changed(source))
            }
            Err(error) => Err(InputError::Store(error)),
        }
    }
}

impl Job<'_> {
    fn work(&self, until: usize) {
        while let Some(todo) = self.queue.next(until) {
            if let Err(error) = self.fill(&todo) {
                self.queue.fail(error);
            }
        }
    }

    fn fill(&self, todo: &Todo) -> Result<(), InputError> {
        let Some(directory) = self.builder.directory(&todo.path, &todo.digest)? else {
            self.queue.lost(shown(&todo.path), todo.digest);
            self.queue.done(todo.place, 0, std::iter::empty());
            return Ok(());
        };
        let dir = open_dir(self.root.as_fd(), &todo.path).map_err(|source| make_error(&todo.path, source))?;
        for file in directory.files() {
            if self.builder.stop.is_cancelled() {
                return Err(InputError::Stopped);
            }
            if !self.builder.link(file, &proc_path(dir.as_fd(), file.name.as_bytes()))? {
                self.queue.lost(shown(&join(&todo.path, file.name.as_bytes())), file.digest);
            }
        }
        let made = self.make_others(dir.as_fd(), &directory);
        made.map_err(|(name, source)| make_error(&join(&todo.path, name.as_bytes()), source))?;
        self.finish(&dir).map_err(|source| make_error(&todo.path, source))?;
        let below = directory.directories();
        let made = directory.files().len() + below.len() + directory.symlinks().len();
        self.queue.done(todo.place, made, below.iter().map(|node| (node.name.as_bytes(), node.digest)));
        Ok(())
    }

    fn make_others(&self, dir: BorrowedFd<'_>, directory: &Directory) -> Result<(), (String, io::Error)> {
        for link in directory.symlinks() {
            self.make_link(dir, link).map_err(|error| (link.name.to_string(), error.into()))?;
        }
        for below in directory.directories() {
            let made = rustix::fs::mkdirat(dir, below.name.as_bytes(), DIRECTORY_MODE);
            made.map_err(|error| (below.name.to_string(), error.into()))?;
        }
        Ok(())
    }

    fn make_link(&self, dir: BorrowedFd<'_>, link: &SymlinkNode) -> rustix::io::Result<()> {
        let name = link.name.as_bytes();
        rustix::fs::symlinkat(&*link.target, dir, name)?;
        if let Some((uid, gid)) = self.builder.owner {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        rustix::fs::utimensat(dir, name, &times(), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Gives a directory its attributes. The last thing done to it: every new entry changes the mtime.
    fn finish(&self, dir: &OwnedFd) -> io::Result<()> {
        if let Some((uid, gid)) = self.builder.owner {
            rustix::fs::fchown(dir, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        if self.masked {
            rustix::fs::fchmod(dir, DIRECTORY_MODE)?;
        }
        Ok(rustix::fs::futimens(dir, &times())?)
    }
}

fn make_root(target: &Path) -> io::Result<(OwnedFd, bool)> {
    rustix::fs::mkdir(target, DIRECTORY_MODE)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, target, flags, Mode::empty())?;
    let masked = Mode::from_raw_mode(rustix::fs::fstat(&root)?.st_mode & 0o777) != DIRECTORY_MODE;
    Ok((root, masked))
}

fn times() -> Timestamps {
    let time = Timespec { tv_sec: MTIME_S, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn make_error(path: &[u8], source: io::Error) -> InputError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem => {
            InputError::Store(StoreError::io("write", shown(path), source))
        }
        _ => InputError::Make { path: shown(path), source },
    }
}
