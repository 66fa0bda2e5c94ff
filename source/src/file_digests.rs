//! Digests of single files that lie anywhere, such as the compilers of the host.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cullet_digest::{Digest, DigestFunction};
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};

use crate::read::{BUFFER, ReadError, hash_with_retries};
use crate::stat::{FileStat, Kind, StatKey};
use crate::store::replace;

/// A toolchain has hundreds of files; ten thousand are about 1 MB. Past that, what this process did not ask for
/// is forgotten.
const MAX_FILES: usize = 10_000;
/// Raised with every change of the layout.
const VERSION: u32 = 1;

/// Digests of files, remembered in one file as long as their status stays the same.
#[derive(Debug)]
pub struct FileDigests {
    function: DigestFunction,
    cache: Option<PathBuf>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    files: HashMap<PathBuf, Remembered>,
    changed: bool,
}

#[derive(Debug)]
struct Remembered {
    stat: StatKey,
    digest: Digest,
    used: bool,
}

/// The form on disk, behind a digest of its bytes.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    files: Vec<StoredFile>,
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    path: Vec<u8>,
    size: u64,
    modified_ns: i64,
    changed_ns: i64,
    inode: u64,
    device: u64,
    digest: Digest,
}

/// Why a file has no digest.
#[derive(Debug, thiserror::Error)]
pub enum FileDigestError {
    /// It is not there or may not be read.
    #[error("'{}' cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is a directory, a FIFO, a device.
    #[error("'{}' is not a regular file", path.display())]
    NotAFile {
        /// What is no file.
        path: PathBuf,
    },
    /// Somebody is writing to it.
    #[error("'{}' changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

impl FileDigests {
    /// Starts from what `cache` remembers. A file that is not there, damaged or of another version remembers
    /// nothing.
    pub fn new(function: DigestFunction, cache: Option<PathBuf>) -> Self {
        let files = cache.as_deref().and_then(|path| read(function, path)).unwrap_or_default();
        Self { function, cache, known: Mutex::new(Known { files, changed: false }) }
    }

    /// The digest of the file at `path`, links followed. It is read only if its status changed since the last
    /// time.
    pub fn digest(&self, path: &Path) -> Result<Digest, FileDigestError> {
        let failed = |source: io::Error| FileDigestError::Read { path: path.to_owned(), source };
        let stat = FileStat::new(&rustix::fs::stat(path).map_err(|errno| failed(errno.into()))?);
        if stat.kind != Kind::File {
            return Err(FileDigestError::NotAFile { path: path.to_owned() });
        }
        if let Some(known) = self.lock().files.get_mut(path)
            && known.stat == stat.key
        {
            known.used = true;
            return Ok(known.digest);
        }
        let open = || openat(CWD, path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
        let hashed =
            hash_with_retries(self.function, open, &mut vec![0; BUFFER]).map_err(|error| match error {
                ReadError::Changed => FileDigestError::Changed { path: path.to_owned() },
                ReadError::Io(source) => failed(source),
            })?;
        let digest = Digest::from_parts(self.function, hashed.hash, hashed.size);
        if hashed.stat != StatKey::UNTRUSTED {
            let remembered = Remembered { stat: hashed.stat, digest, used: true };
            let mut known = self.lock();
            known.files.insert(path.to_owned(), remembered);
            known.changed = true;
        }
        Ok(digest)
    }

    /// Writes what is remembered, if that changed. An error costs the next process some reading, no more.
    pub fn save(&self) -> io::Result<()> {
        let Some(cache) = &self.cache else { return Ok(()) };
        let mut known = self.lock();
        if !known.changed {
            return Ok(());
        }
        if known.files.len() > MAX_FILES {
            known.files.retain(|_, file| file.used);
        }
        let files =
            known.files.iter().take(MAX_FILES).map(|(path, file)| StoredFile::new(path, file)).collect();
        let body = postcard::to_stdvec(&Stored { version: VERSION, files }).map_err(io::Error::other)?;
        let bytes = [DigestFunction::Blake3.digest(&body).hash().as_slice(), &body].concat();
        let directory =
            cache.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        replace(directory, cache, &bytes)?;
        known.changed = false;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // Entries are inserted whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(function: DigestFunction, path: &Path) -> Option<HashMap<PathBuf, Remembered>> {
    let bytes = fs::read(path).ok()?;
    let (sum, body) = bytes.split_first_chunk::<32>()?;
    if sum != DigestFunction::Blake3.digest(body).hash() {
        return None;
    }
    let stored: Stored = postcard::from_bytes(body).ok()?;
    let ours = stored.files.into_iter().filter(|file| file.digest.function() == function);
    (stored.version == VERSION).then(|| ours.map(StoredFile::into_known).collect())
}

impl StoredFile {
    fn new(path: &Path, file: &Remembered) -> Self {
        let StatKey { size, modified_ns, changed_ns, inode, device } = file.stat;
        let path = path.as_os_str().as_bytes().to_vec();
        Self { path, size, modified_ns, changed_ns, inode, device, digest: file.digest }
    }

    fn into_known(self) -> (PathBuf, Remembered) {
        let Self { path, size, modified_ns, changed_ns, inode, device, digest } = self;
        let stat = StatKey { size, modified_ns, changed_ns, inode, device };
        (OsString::from_vec(path).into(), Remembered { stat, digest, used: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTION: DigestFunction = DigestFunction::Blake3;

    fn write_old(path: &Path, content: &str) {
        fs::write(path, content).unwrap();
        // So that its status is trusted at once.
        std::thread::sleep(std::time::Duration::from_millis(40));
    }

    #[test]
    fn an_unchanged_file_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let (file, cache) = (dir.path().join("tool"), dir.path().join("state/files"));
        write_old(&file, "one");
        let first = FileDigests::new(FUNCTION, Some(cache.clone()));
        assert_eq!(first.digest(&file).unwrap(), FUNCTION.digest(b"one"));
        first.save().unwrap();
        let second = FileDigests::new(FUNCTION, Some(cache.clone()));
        assert_eq!(second.lock().files.len(), 1);
        second.digest(&file).unwrap();
        assert!(!second.lock().changed);
        write_old(&file, "two");
        assert_eq!(second.digest(&file).unwrap(), FUNCTION.digest(b"two"));
        assert!(second.lock().changed);
        let other = FileDigests::new(DigestFunction::Sha256, Some(cache));
        assert_eq!(other.digest(&file).unwrap(), DigestFunction::Sha256.digest(b"two"));
    }

    #[test]
    fn a_damaged_cache_remembers_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (file, cache) = (dir.path().join("tool"), dir.path().join("files"));
        write_old(&file, "one");
        let digests = FileDigests::new(FUNCTION, Some(cache.clone()));
        digests.digest(&file).unwrap();
        digests.save().unwrap();
        let mut bytes = fs::read(&cache).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&cache, bytes).unwrap();
        assert!(FileDigests::new(FUNCTION, Some(cache)).lock().files.is_empty());
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let digests = FileDigests::new(FUNCTION, None);
        assert!(matches!(digests.digest(dir.path()), Err(FileDigestError::NotAFile { .. })));
        assert!(matches!(digests.digest(&dir.path().join("none")), Err(FileDigestError::Read { .. })));
    }
}
