//! Bytes on their way into or out of a store.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::Digest;
use tempfile::TempPath;

use crate::StoreError;

/// The bytes of one blob, where they are. A store hands out what costs it least; whoever receives it chooses
/// whether to hold the bytes, stream them, or link the file.
#[derive(Debug)]
pub enum Blob {
    /// In memory.
    Bytes(Bytes),
    /// In an open file, from its start to its end.
    File {
        /// Open for reading, positioned at the start.
        file: File,
        /// Where it was found, for messages.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// In a file of this process, of which is known what it holds.
    Checked(CheckedFile),
}

/// A file of this process whose bytes were compared with a digest as they were written, and which nobody writes any more. It
/// goes when the last one does that names it; what has it open keeps its bytes.
#[derive(Debug)]
pub struct CheckedFile {
    file: File,
    path: Arc<TempPath>,
    digest: Digest,
}

impl CheckedFile {
    /// Opens it, for a reader of its own. That it holds the bytes of the digest is the caller's promise.
    pub(crate) fn open(path: &Arc<TempPath>, digest: Digest) -> Result<Self, StoreError> {
        let file = File::open(&**path).map_err(|error| StoreError::io("open", &**path, error))?;
        Ok(Self { file, path: Arc::clone(path), digest })
    }

    /// What it holds.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Open for reading, positioned at the start.
    pub(crate) const fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The same as a file of which nothing is known.
    pub(crate) fn into_blob(self) -> Blob {
        Blob::File { path: self.path.to_path_buf(), len: self.digest.size(), file: self.file }
    }
}

impl Blob {
    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
            Self::Checked(file) => file.digest.size(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes in memory. The caller has checked [`Blob::len`] against what it is ready to hold.
    pub fn into_bytes(self) -> io::Result<Bytes> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::File { file, len, .. } => {
                // Not trusted for the allocation beyond 1 MiB: a file may be longer or shorter than it was.
                let mut bytes = Vec::with_capacity(len.min(1 << 20) as usize);
                file.take(len).read_to_end(&mut bytes)?;
                Ok(bytes.into())
            }
            Self::Checked(file) => file.into_blob().into_bytes(),
        }
    }

    /// The bytes as a stream; blocking.
    pub fn into_reader(self) -> Box<dyn Read + Send> {
        match self {
            Self::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
            Self::File { file, len, .. } => Box::new(file.take(len)),
            Self::Checked(file) => Box::new(file.file.take(file.digest.size())),
        }
    }
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

/// The largest blob that is stored together with others, in bytes. What is larger takes longer to write than to wait for.
pub(crate) const SMALL: u64 = 128 << 10;

/// Whether a blob is worth storing together with others. One without bytes needs no storing.
pub(crate) fn is_small(digest: &Digest) -> bool {
    (1..=SMALL).contains(&digest.size())
}

/// Whether this is the empty blob, which every store has, stored or not. A digest of size 0 with another hash
/// names nothing.
pub(crate) fn is_the_empty_blob(digest: &Digest) -> bool {
    digest.is_empty() && *digest == digest.function().digest(b"")
}
