//! Directories that files are written into, kept open: two of three opens are then not needed, nor is the way there walked
//! for each of them.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::objects::Created;

/// As many as there are for both areas with one digest function.
const MOST: usize = 512;

/// How long one is taken for what is at its path: somebody may put another one in its place.
const TRUSTED: Duration = Duration::from_secs(1);

/// Open directories, each for a moment.
#[derive(Debug, Default)]
pub(super) struct Directories(Mutex<HashMap<PathBuf, (Instant, Arc<Directory>)>>);

/// An open directory.
#[derive(Debug)]
pub(super) struct Directory(File);

/// What is believed of a file that is there with its full length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Existing {
    /// That it holds what it has to.
    Trusted,
    /// Nothing before it was compared: a power cut leaves zeros in what nobody had made durable.
    Compared,
}

impl Directories {
    /// Does something in a directory, which is made if it is not there. Done again where it was removed meanwhile.
    pub(super) fn within<T>(
        &self,
        path: &Path,
        mut work: impl FnMut(&Directory) -> io::Result<T>,
    ) -> io::Result<T> {
        match work(&*self.open(path)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
                work(&*self.open(path)?)
            }
            done => done,
        }
    }

    /// The file of this name in a directory, if both are there.
    pub(super) fn file(&self, path: &Path, name: &OsStr) -> io::Result<Option<File>> {
        let opened = self.known(path).and_then(|dir| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            Ok(rustix::fs::openat(&dir.0, name, flags, Mode::empty())?.into())
        });
        match opened {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a directory that may be missing.
    pub(super) fn make(&self, path: &Path) -> io::Result<()> {
        self.within(path, |_| Ok(()))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<Directory>> {
        match self.known(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(path)?;
                self.known(path)
            }
            opened => opened,
        }
    }

    fn known(&self, path: &Path) -> io::Result<Arc<Directory>> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((since, directory)) = lock().get(path)
            && now.duration_since(*since) < TRUSTED
        {
            return Ok(Arc::clone(directory));
        }
        let directory = Arc::new(Directory(File::open(path)?));
        let mut known = lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(path.to_owned(), (now, Arc::clone(&directory)));
        Ok(directory)
    }
}

impl Directory {
    /// How long the file of this name is, if there is one.
    pub(super) fn len_of(&self, name: &OsStr) -> io::Result<Option<u64>> {
        match rustix::fs::statat(&self.0, name, AtFlags::empty()) {
            Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile => {
                Ok(u64::try_from(found.st_size).ok())
            }
            Ok(_) | Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes bytes under this name, where there are most likely none. A file that has not its full length yet is none:
    /// the name says how long it is.
    pub(super) fn put(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let sync = |file: &File| file.sync_all().and_then(|()| self.0.sync_all());
        self.write(name, bytes, Existing::Trusted, sync)
    }

    /// The same without waiting for the disk: whoever calls it makes it durable, and then tells others. A file that is there is
    /// compared with the bytes.
    pub(super) fn lay(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        self.write(name, bytes, Existing::Compared, |_| Ok(()))
    }

    fn write(
        &self,
        name: &OsStr,
        bytes: &[u8],
        existing: Existing,
        sync: impl FnOnce(&File) -> io::Result<()>,
    ) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file: File = match rustix::fs::openat(&self.0, name, flags, Mode::from_raw_mode(0o666)) {
            Err(Errno::EXIST) if self.has(name, bytes, existing)? => return Ok(()),
            // Somebody writes it just now, or was stopped while doing so.
            Err(Errno::EXIST) => return self.publish(name, bytes),
            opened => opened?.into(),
        };
        let written = file.write_all(bytes).and_then(|()| sync(&file));
        if written.is_err() {
            // Nothing else can be done about it, and it is no blob as it is.
            let _ = rustix::fs::unlinkat(&self.0, name, AtFlags::empty());
        }
        written
    }

    /// Whether the file of this name is what it has to be.
    fn has(&self, name: &OsStr, bytes: &[u8], existing: Existing) -> io::Result<bool> {
        if self.len_of(name)? != Some(bytes.len() as u64) {
            return Ok(false);
        }
        if existing == Existing::Trusted {
            return Ok(true);
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file: File = rustix::fs::openat(&self.0, name, flags, Mode::empty())?.into();
        let mut found = Vec::with_capacity(bytes.len() + 1);
        file.take(bytes.len() as u64 + 1).read_to_end(&mut found)?;
        Ok(found == bytes)
    }

    /// Gives bytes this name, whole, so that they survive a power cut.
    pub(super) fn publish(&self, name: &OsStr, bytes: &[u8]) -> io::Result<()> {
        let (draft, mut file) = self.begin(name)?;
        let written = file.write_all(bytes).and_then(|()| self.settle(&draft, &file, name));
        self.unless_failed(&draft, written)
    }

    /// Removes a draft that did not get its name.
    fn unless_failed(&self, draft: &OsStr, outcome: io::Result<()>) -> io::Result<()> {
        if outcome.is_err() {
            // It is gone where it was renamed.
            let _ = rustix::fs::unlinkat(&self.0, draft, AtFlags::empty());
        }
        outcome
    }

    /// Gives bytes this name if nothing has it: a second link to a file is refused then, by network filesystems too.
    pub(super) fn create(&self, name: &OsStr, bytes: &[u8]) -> io::Result<Created> {
        let (draft, mut file) = self.begin(name)?;
        let created = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| {
            match rustix::fs::linkat(&self.0, &draft, &self.0, name, AtFlags::empty()) {
                Ok(()) => self.0.sync_all().map(|()| Created::Made),
                Err(Errno::EXIST) => Ok(Created::Exists),
                // A filesystem without links.
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(Created::Unsupported),
                Err(error) => Err(error.into()),
            }
        });
        let _ = rustix::fs::unlinkat(&self.0, &draft, AtFlags::empty());
        created
    }

    /// Begins a file of which nobody knows, and which is to get this name.
    pub(super) fn begin(&self, name: &OsStr) -> io::Result<(OsString, File)> {
        let draft = draft_of(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, &draft, flags, Mode::from_raw_mode(0o666))?;
        Ok((draft, file.into()))
    }

    /// Gives a file that lies elsewhere this name as well, so that it survives a power cut. False where it cannot have two.
    pub(super) fn adopt(&self, from: &Path, file: &File, name: &OsStr) -> io::Result<bool> {
        let draft = draft_of(name);
        match rustix::fs::linkat(CWD, from, &self.0, &draft, AtFlags::empty()) {
            Ok(()) => {}
            // Another filesystem, or one without links.
            Err(
                Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::NOSYS,
            ) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        self.unless_failed(&draft, self.settle(&draft, file, name)).map(|()| true)
    }

    /// Gives a file that was begun its name, so that it survives a power cut.
    pub(super) fn settle(&self, draft: &OsStr, file: &File, name: &OsStr) -> io::Result<()> {
        file.sync_all()?;
        rustix::fs::renameat(&self.0, draft, &self.0, name)?;
        self.0.sync_all()
    }
}

/// A number after a `#` is how the library names what is not whole yet; see the module above.
fn draft_of(name: &OsStr) -> OsString {
    let mut draft = OsString::from(name);
    draft.push(format!("#{}", fastrand::u64(..)));
    draft
}

/// Makes a directory and those above it that are missing, so that they survive a power cut.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().ok_or(io::ErrorKind::NotFound)?;
    make(above)?;
    match std::fs::create_dir(path) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| File::open(above)?.sync_all()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_was_removed_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let (directories, deep) = (Directories::default(), dir.path().join("a/b/c"));
        let put = || directories.within(&deep, |dir| dir.publish(OsStr::new("name"), b"bytes"));
        put().unwrap();
        std::fs::remove_dir_all(dir.path().join("a")).unwrap();
        put().unwrap();
        assert_eq!(std::fs::read(deep.join("name")).unwrap(), b"bytes");
        let len = |name: &str| directories.within(&deep, |dir| dir.len_of(OsStr::new(name)));
        assert_eq!((len("name").unwrap(), len("other").unwrap()), (Some(5), None));
        let found = |dir: &Path, name: &str| directories.file(dir, OsStr::new(name)).unwrap().is_some();
        assert!(found(&deep, "name") && !found(&deep, "other") && !found(&dir.path().join("none"), "name"));
        assert_eq!(std::fs::read_dir(&deep).unwrap().count(), 1, "no draft stays");
    }

    #[test]
    fn what_cannot_be_named_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let directories = Directories::default();
        std::fs::create_dir(dir.path().join("taken")).unwrap();
        let put = directories.within(dir.path(), |dir| dir.publish(OsStr::new("taken"), b"bytes"));
        assert!(put.is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
