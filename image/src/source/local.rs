//! Parts of images that are on this machine already, whoever's images they are.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Take};
use std::path::PathBuf;

use crate::{Digest, ImageError};

/// Where blobs are that need not be fetched: in a file that was brought along, for example.
pub trait LocalBlobs: Debug + Send + Sync {
    /// Where a blob is, if it is here. Whoever reads it compares it with its digest.
    fn find(&self, digest: &Digest) -> Option<FilePart>;
}

/// Bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePart {
    /// Which.
    pub file: PathBuf,
    /// The first byte.
    pub offset: u64,
    /// How many.
    pub size: u64,
}

impl FilePart {
    /// The bytes. Blocking.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn reader(&self) -> io::Result<Take<File>> {
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.size))
    }

    /// The same, with an error that says which file it is. Blocking.
    pub(crate) fn open(&self) -> Result<Take<File>, ImageError> {
        self.reader().map_err(|error| ImageError::io("read", &self.file, error))
    }

    /// All of them, where they are few. Blocking.
    pub(crate) fn read(&self, what: &'static str, limit: u64) -> Result<Vec<u8>, ImageError> {
        if self.size > limit {
            return Err(ImageError::TooLarge { what, image: self.file.display().to_string(), limit });
        }
        let mut bytes = Vec::with_capacity(self.size as usize);
        self.open()?.read_to_end(&mut bytes).map_err(|error| ImageError::io("read", &self.file, error))?;
        Ok(bytes)
    }
}
