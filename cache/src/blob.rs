//! Bytes on their way into or out of a store.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use bytes::Bytes;
use cullet_digest::Digest;

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
}

impl Blob {
    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
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
        }
    }

    /// The bytes as a stream; blocking.
    pub fn into_reader(self) -> Box<dyn Read + Send> {
        match self {
            Self::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
            Self::File { file, len, .. } => Box::new(file.take(len)),
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

/// Whether this is the empty blob, which every store has, stored or not. A digest of size 0 with another hash
/// names nothing.
pub(crate) fn is_the_empty_blob(digest: &Digest) -> bool {
    digest.is_empty() && *digest == digest.function().digest(b"")
}
