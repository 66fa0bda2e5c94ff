//! Small objects of a directory, written in one piece of blocking work each time: what hands work to another thread
//! costs more than the work.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path as Name;
use tokio::time::timeout;

use super::ObjectOptions;
use super::directories::Directories;
use super::write_ahead::{Limits, Logs};
use crate::StoreError;
use crate::blob::CheckedFile;
use crate::objects::Created;
use crate::threads::{Kind, Threads};

/// A network filesystem serves about so many at once.
const READERS: Kind = Kind { most: 64, eager: 2, yields: false };
const WRITERS: Kind = Kind { yields: true, ..READERS };

/// A directory that holds objects, as files.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    directories: Arc<Directories>,
    /// For what only looks and reads.
    readers: Threads,
    /// For what waits for a disk to be written.
    writers: Threads,
    deadline: Duration,
    /// What to call it in messages.
    place: String,
    /// Small blobs that are no files yet.
    pub(super) logs: Logs,
}

/// An object to write.
pub(super) struct Small {
    pub(super) name: Name,
    pub(super) bytes: Bytes,
    pub(super) over: Over,
}

/// What to do about an object of this name that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// It is replaced.
    Replace,
    /// It stays if it has this length, which is asked first.
    Keep,
    /// The same, but there is most likely none.
    Fresh,
}

impl Files {
    /// The files of a directory, and its logs; no piece of work takes longer than `deadline`.
    pub(super) fn open(
        root: PathBuf,
        deadline: Duration,
        options: &ObjectOptions,
        limits: Limits,
    ) -> Result<Self, StoreError> {
        let (place, directories) = (root.display().to_string(), Arc::default());
        let logs = Logs::open((&root, &place), &directories, options, limits)?;
        let [readers, writers] = [READERS, WRITERS].map(Threads::new);
        Ok(Self { root, directories, readers, writers, deadline, place, logs })
    }

    /// Reads something of the file of an object.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        name: &Name,
        read: impl FnOnce(&Path) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let path = self.path(name);
        self.run(move || read(&path)).await
    }

    /// All of the file of an object, if there is one; one of more than `limit` bytes is read as empty.
    pub(super) async fn read_small(&self, name: &Name, limit: u64) -> Result<Option<Bytes>, StoreError> {
        let (path, directories) = (self.path(name), Arc::clone(&self.directories));
        let read = move || {
            let (dir, name) = split(&path)?;
            let Some(file) = directories.file(dir, name)? else { return Ok(None) };
            let mut bytes = Vec::new();
            file.take(limit + 1).read_to_end(&mut bytes)?;
            Ok(Some(if bytes.len() as u64 > limit { Bytes::new() } else { bytes.into() }))
        };
        let (place, path) = (self.place.clone(), self.path(name));
        let failed = move |error| StoreError::remote("read from", &place, At { path, error });
        self.run(move || read().map_err(failed)).await
    }

    /// Writes objects one after the other. The first failure ends it.
    pub(super) async fn write(&self, objects: Vec<Small>) -> Result<(), StoreError> {
        let files: Vec<(PathBuf, Small)> =
            objects.into_iter().map(|small| (self.path(&small.name), small)).collect();
        let (directories, place) = (Arc::clone(&self.directories), self.place.clone());
        let write = move || {
            files.iter().try_for_each(|(path, small)| {
                one(&directories, path, small)
                    .map_err(|error| StoreError::remote("store in", &place, At { path: path.clone(), error }))
            })
        };
        self.run_writing(write).await
    }

    /// Begins the file of an object that is written piece by piece.
    pub(super) async fn begin(&self, name: &Name) -> Result<Draft, StoreError> {
        let (path, directories) = (self.path(name), Arc::clone(&self.directories));
        let begin = move || {
            let (dir, name) = split(&path)?;
            let (draft, file) = directories.within(dir, |dir| dir.begin(name))?;
            let draft = dir.join(draft);
            Ok(Draft { file, draft: Some(draft), path, directories })
        };
        self.store(name, begin).await
    }

    /// Gives a file of this process the name of an object as well. It is handed back where it must be copied for that.
    pub(super) async fn adopt(
        &self,
        name: &Name,
        file: CheckedFile,
    ) -> Result<Option<CheckedFile>, StoreError> {
        let (path, directories) = (self.path(name), Arc::clone(&self.directories));
        let adopt = move || {
            let (dir, name) = split(&path)?;
            let adopted = directories.within(dir, |dir| dir.adopt(file.path(), file.file(), name))?;
            Ok((!adopted).then_some(file))
        };
        self.store(name, adopt).await
    }

    /// Does a piece of work at a file that was begun, which takes no longer than the deadline.
    pub(super) async fn store<T: Send + 'static>(
        &self,
        name: &Name,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (path, place) = (self.path(name), self.place.clone());
        let failed = move |error| StoreError::remote("store in", &place, At { path, error });
        self.run_writing(move || work().map_err(failed)).await
    }

    /// Writes an object where there is none.
    pub(super) async fn create(&self, name: &Name, bytes: Bytes) -> Result<Created, StoreError> {
        let (path, directories, place) = (self.path(name), Arc::clone(&self.directories), self.place.clone());
        let create = move || {
            let created =
                split(&path).and_then(|(dir, name)| directories.within(dir, |dir| dir.create(name, &bytes)));
            created.map_err(|error| StoreError::remote("store in", &place, At { path, error }))
        };
        self.run_writing(create).await
    }

    /// Names of objects are hexadecimal digits and what we call the parts above them.
    pub(super) fn path(&self, name: &Name) -> PathBuf {
        self.root.join(name.as_ref())
    }

    /// Does a piece of work on files that is short and writes nothing, and takes no longer than the deadline.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.in_time(self.readers.run(work)).await
    }

    /// The same for what is written. Nobody who reads waits for it: a hundred writes that are synced are seconds.
    async fn run_writing<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.in_time(self.writers.run(work)).await
    }

    /// Waits no longer than the deadline.
    pub(super) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let late = |_| StoreError::deadline(&self.place, self.deadline);
        timeout(self.deadline, work).await.map_err(late)?
    }
}

/// A file of which nobody knows yet. It goes where it does not get its name.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) file: File,
    draft: Option<PathBuf>,
    path: PathBuf,
    directories: Arc<Directories>,
}

impl Draft {
    /// Gives it its name, so that it survives a power cut.
    pub(super) fn settle(mut self) -> io::Result<()> {
        let (dir, name) = split(&self.path)?;
        let Some((_, draft)) = self.draft.as_deref().map(split).transpose()? else { return Ok(()) };
        self.directories.within(dir, |dir| dir.settle(draft, &self.file, name))?;
        self.draft = None;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(draft) = &self.draft {
            // Nothing takes it for an object where it stays.
            let _ = std::fs::remove_file(draft);
        }
    }
}

/// Which file it was.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", .path.display())]
pub(super) struct At {
    pub(super) path: PathBuf,
    pub(super) error: io::Error,
}

/// The directory of a file, and its name there.
pub(super) fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    path.parent().zip(path.file_name()).ok_or_else(|| io::ErrorKind::InvalidFilename.into())
}

fn one(directories: &Directories, path: &Path, small: &Small) -> io::Result<()> {
    let (dir, name) = split(path)?;
    directories.within(dir, |dir| match small.over {
        Over::Fresh => dir.put(name, &small.bytes),
        Over::Keep if dir.len_of(name)? == Some(small.bytes.len() as u64) => Ok(()),
        Over::Keep | Over::Replace => dir.publish(name, &small.bytes),
    })
}
