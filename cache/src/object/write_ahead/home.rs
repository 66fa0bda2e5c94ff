//! Where the logs of a directory are, and what becomes of them.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cullet_digest::Digest;

use super::filesystem::{Filesystem, ask_again};
use crate::object::directories::Directories;
use crate::object::place::name_of;

/// A directory with files of blobs, and with logs.
#[derive(Debug)]
pub(super) struct Home {
    root: PathBuf,
    wal: PathBuf,
    pub(super) directories: Arc<Directories>,
    pub(super) filesystem: Filesystem,
    /// Whether anything is written here by this process.
    pub(super) writable: bool,
}

impl Home {
    pub(super) fn new(root: &Path, directories: Arc<Directories>, writable: bool) -> io::Result<Self> {
        let filesystem = Filesystem::of(&File::open(root)?);
        Ok(Self { root: root.to_owned(), wal: root.join("wal"), directories, filesystem, writable })
    }

    /// The file of a blob.
    pub(super) fn file(&self, digest: &Digest) -> PathBuf {
        self.root.join(name_of("cas", digest))
    }

    /// The directory of the logs.
    pub(super) fn wal(&self) -> &Path {
        &self.wal
    }

    /// A log by its number.
    pub(super) fn log(&self, id: u64) -> PathBuf {
        self.wal.join(format!("{id:016x}.log"))
    }

    /// What a log is called before anybody may take it for one.
    pub(super) fn draft(&self, id: u64) -> PathBuf {
        self.wal.join(format!("{id:016x}.new"))
    }

    /// What is in the directory of the logs now; none where there is no such directory.
    pub(super) fn list(&self) -> io::Result<Option<std::fs::ReadDir>> {
        let listed = || match std::fs::read_dir(&self.wal) {
            Ok(entries) => Ok(Some(entries)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        };
        if self.filesystem.locks_hold {
            return listed();
        }
        ask_again(&self.wal);
        match listed()? {
            // That it is not there may be what was so a minute ago.
            None => {
                ask_again(&self.root);
                listed()
            }
            found => Ok(found),
        }
    }

    /// Has the next look at the file of a blob be one at what is there now.
    pub(super) fn look_anew(&self, digest: &Digest) {
        if let (false, Some(dir)) = (self.filesystem.locks_hold, self.file(digest).parent()) {
            ask_again(dir);
        }
    }

    /// Removes a log, so that it stays away.
    pub(super) fn remove(&self, log: &Path) -> io::Result<()> {
        match std::fs::remove_file(log) {
            Err(error) if is_gone(&error) => return Ok(()),
            removed => removed?,
        }
        self.sync()
    }

    /// Makes durable which logs there are.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.wal)?.sync_all()
    }
}

/// The number of a log, or of a draft of one where that is the extension.
pub(super) fn id_of(name: &OsStr, extension: &str) -> Option<u64> {
    let (number, found) = name.to_str()?.split_once('.')?;
    let digits = number.len() == 16 && number.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if digits && found == extension { u64::from_str_radix(number, 16).ok() } else { None }
}

/// Whether something is not there, or not any more, as network filesystems say of what is open.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESTALE)
}
