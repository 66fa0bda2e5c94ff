//! Small objects of a directory, written in one piece of blocking work each time: what hands work to another thread
//! costs more than the work.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Name;
use tokio::time::timeout;

use super::threads::Threads;
use crate::StoreError;

/// A directory that holds objects, as files.
#[derive(Debug)]
pub(super) struct Files {
    system: LocalFileSystem,
    threads: Threads,
    deadline: Duration,
    /// What to call it in messages.
    place: String,
}

/// An object to write.
pub(super) struct Small {
    pub(super) name: Name,
    pub(super) bytes: Bytes,
    /// It takes the place of one that is there; otherwise one that is there with this length stays.
    pub(super) replace: bool,
}

impl Files {
    /// The files of a directory; no piece of work takes longer than `deadline`.
    pub(super) fn new(system: LocalFileSystem, place: String, deadline: Duration) -> Self {
        Self { system, threads: Threads::default(), deadline, place }
    }

    /// Reads something of the file of an object.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        name: &Name,
        read: impl FnOnce(&Path) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let path = self.path("read from", name)?;
        self.run(move || read(&path)).await
    }

    /// Writes objects one after the other. The first failure ends it.
    pub(super) async fn write(&self, objects: Vec<Small>) -> Result<(), StoreError> {
        let files = objects.into_iter().map(|small| Ok((self.path("store in", &small.name)?, small)));
        let files: Vec<(PathBuf, Small)> = files.collect::<Result<_, StoreError>>()?;
        let place = self.place.clone();
        let write = move || {
            files.iter().try_for_each(|(path, small)| {
                one(path, small).map_err(|error| StoreError::remote("store in", &place, error))
            })
        };
        self.run(write).await
    }

    fn path(&self, action: &'static str, name: &Name) -> Result<PathBuf, StoreError> {
        let failed = |error| StoreError::remote(action, &self.place, error);
        self.system.path_to_filesystem(name).map_err(failed)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let late = |_| StoreError::deadline(&self.place, self.deadline);
        timeout(self.deadline, self.threads.run(work)).await.map_err(late)?
    }
}

fn one(path: &Path, small: &Small) -> io::Result<()> {
    let there = !small.replace
        && fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == small.bytes.len() as u64);
    if there {
        return Ok(());
    }
    // A number after a `#` is how the library names what is not whole yet; see the module above.
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!("#{}", fastrand::u64(..)));
    let draft = PathBuf::from(draft);
    let written = publish(&draft, path, &small.bytes);
    if written.is_err() {
        // There is nothing to remove where it could not be made.
        let _ = fs::remove_file(&draft);
    }
    written
}

fn publish(draft: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidFilename)?;
    let create = || OpenOptions::new().write(true).create_new(true).open(draft);
    let mut file = match create() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directories(dir)?;
            create()?
        }
        created => created?,
    };
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(draft, path)?;
    sync(dir)
}

/// Makes a directory and those above it that are missing, so that they survive a power cut.
fn make_directories(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().ok_or(io::ErrorKind::NotFound)?;
    make_directories(above)?;
    match fs::create_dir(dir) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| sync(above)),
    }
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
