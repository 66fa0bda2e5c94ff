//! A value that arrives piece by piece, before anybody knows what it is.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cullet_digest::{Digest, Hasher};
use tempfile::NamedTempFile;
use tokio::sync::OwnedSemaphorePermit;

use super::FUNCTION;
use crate::arriving::IN_MEMORY;
use crate::offload::offload;
use crate::spool::Spool;
use crate::{Blob, StoreError};

/// The most bytes of all values on their way, which are on the disk.
const MOST_BYTES: u64 = 64 << 30;

/// A value on its way.
#[derive(Debug)]
pub struct Gathering {
    sink: Option<Sink>,
    taken: Taken,
    spool: Arc<Spool>,
    _permit: OwnedSemaphorePermit,
}

/// Bytes on their way, of all values together.
#[derive(Debug)]
struct Taken {
    total: Arc<AtomicU64>,
    bytes: u64,
}

impl Taken {
    /// Counts more, if there is room for it.
    fn more(&mut self, bytes: u64) -> Result<(), StoreError> {
        let before = self.total.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if before.saturating_add(bytes) <= MOST_BYTES {
            return Ok(());
        }
        Err(StoreError::io("take", "a value", io::Error::other("too many bytes of others are on their way")))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Sink {
    hasher: Hasher,
    /// What is in no file yet.
    bytes: Vec<u8>,
    /// Once there are more of them than are kept in memory.
    file: Option<NamedTempFile>,
}

/// A value that has arrived.
#[derive(Debug)]
pub struct Gathered {
    pub(super) digest: Digest,
    sink: Sink,
    _taken: Taken,
}

impl Gathering {
    pub(super) fn new(spool: Arc<Spool>, total: Arc<AtomicU64>, permit: OwnedSemaphorePermit) -> Self {
        let taken = Taken { total, bytes: 0 };
        let sink = Sink { hasher: Hasher::new(FUNCTION), bytes: Vec::new(), file: None };
        Self { sink: Some(sink), taken, spool, _permit: permit }
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// The disk; then nothing more of it is taken.
    pub async fn append(&mut self, piece: Bytes) -> Result<(), StoreError> {
        let Some(mut sink) = self.sink.take() else { return Err(broken()) };
        self.taken.more(piece.len() as u64)?;
        // What the network gives is let go of where it came from, and the thread that writes gets the same memory each time.
        sink.bytes.extend_from_slice(&piece);
        drop(piece);
        if sink.bytes.len() as u64 > IN_MEMORY {
            let spool = Arc::clone(&self.spool);
            sink = offload(move || sink.write(&spool).map(|()| sink)).await?;
        }
        self.sink = Some(sink);
        Ok(())
    }

    /// What has arrived.
    ///
    /// # Errors
    /// Something of it was not taken.
    pub async fn finish(mut self) -> Result<Gathered, StoreError> {
        let mut sink = self.sink.take().ok_or_else(broken)?;
        if sink.file.is_some() {
            let spool = Arc::clone(&self.spool);
            sink = offload(move || sink.write(&spool).map(|()| sink)).await?;
        } else {
            sink.hasher.update(&sink.bytes);
        }
        let digest = std::mem::replace(&mut sink.hasher, Hasher::new(FUNCTION)).finish();
        Ok(Gathered { digest, sink, _taken: self.taken })
    }
}

fn broken() -> StoreError {
    StoreError::io("take", "a value", io::Error::other("some of it could not be written before"))
}

impl Sink {
    /// Moves what is in memory to the file, which is made if need be. Blocking.
    fn write(&mut self, spool: &Spool) -> Result<(), StoreError> {
        self.hasher.update(&self.bytes);
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let made = NamedTempFile::new_in(spool.path());
                let file = made.map_err(|error| StoreError::io("make a file in", spool.path(), error))?;
                self.file.insert(file)
            }
        };
        file.write_all(&self.bytes).map_err(|error| StoreError::io("write to", file.path(), error))?;
        self.bytes.clear();
        Ok(())
    }
}

impl Gathered {
    /// The SHA-256 of its bytes, in hexadecimal.
    pub fn hash(&self) -> String {
        self.digest.hash_hex()
    }

    /// The bytes, for a reader of its own.
    pub(super) fn blob(&self) -> Result<Blob, StoreError> {
        let Some(file) = &self.sink.file else { return Ok(self.sink.bytes.clone().into()) };
        let opened = file.reopen().map_err(|error| StoreError::io("open", file.path(), error))?;
        Ok(Blob::File { file: opened, path: file.path().to_owned(), len: self.digest.size() })
    }
}
