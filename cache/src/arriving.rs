//! A blob that arrives piece by piece.

use std::fs::Permissions;
use std::io::Write as _;
use std::num::NonZeroU64;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::{Digest, Hasher};
use rustix::fs::Advice;
use tempfile::{NamedTempFile, TempPath};

use crate::blob::CheckedFile;
use crate::{Blob, StoreError};

/// Up to this many bytes arrive in memory; larger blobs go to a file. The same bound as what the disk hands out in
/// memory.
pub(crate) const IN_MEMORY: u64 = 256 << 10;

/// Bytes that a disk is given at once.
const WRITTEN_BACK: u64 = 8 << 20;

/// What has arrived of a blob. Never more than its digest announces is taken.
#[derive(Debug)]
pub(crate) struct Arriving {
    digest: Digest,
    hasher: Hasher,
    sink: Sink,
    /// Bytes that the disk was told to write.
    begun: u64,
}

#[derive(Debug)]
enum Sink {
    Memory(Vec<u8>),
    File(NamedTempFile),
}

/// A whole blob whose bytes are those of its digest. Clones share the file, which goes when the last one does.
#[derive(Debug, Clone)]
pub(crate) enum Arrived {
    Bytes(Bytes),
    File { path: Arc<TempPath>, digest: Digest },
}

impl Arriving {
    /// Nothing yet. A large blob is spooled to a file in `spool`.
    pub(crate) fn new(digest: &Digest, spool: &Path) -> Result<Self, StoreError> {
        let sink = if digest.size() <= IN_MEMORY {
            Sink::Memory(Vec::with_capacity(digest.size() as usize))
        } else {
            // As others may read it where it becomes a blob.
            let file = tempfile::Builder::new()
                .permissions(Permissions::from_mode(0o666))
                .tempfile_in(spool)
                .map_err(|error| StoreError::io("make a file in", spool, error))?;
            Sink::File(file)
        };
        Ok(Self { digest: *digest, hasher: Hasher::new(digest.function()), sink, begun: 0 })
    }

    /// How many bytes have arrived.
    pub(crate) fn len(&self) -> u64 {
        self.hasher.size()
    }

    /// Whether as many bytes have arrived as the digest announces.
    pub(crate) fn is_whole(&self) -> bool {
        self.len() == self.digest.size()
    }

    /// Takes the next bytes. Blocking.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] where they are more than the digest announces.
    pub(crate) fn append(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(piece);
        if self.len() > self.digest.size() {
            return Err(StoreError::Mismatch { expected: self.digest, actual: self.so_far() });
        }
        match &mut self.sink {
            Sink::Memory(bytes) => bytes.extend_from_slice(piece),
            Sink::File(file) => {
                file.write_all(piece).map_err(|error| StoreError::io("write to", file.path(), error))?;
            }
        }
        Ok(())
    }

    /// Has the disk begin with what it has not been given yet, where that is much: whoever makes the file durable later then
    /// waits less. Blocking, but not until it is written.
    pub(crate) fn begin_writing_back(&mut self) {
        let (len, begun) = (self.len(), self.begun);
        let Sink::File(file) = &self.sink else { return };
        if len - begun < WRITTEN_BACK {
            return;
        }
        self.begun = len;
        // What is not needed any more is first written, without waiting for it. If it is not, then later.
        let _ = rustix::fs::fadvise(file, begun, NonZeroU64::new(len - begun), Advice::DontNeed);
    }

    /// The blob.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] where the bytes are not those of the digest.
    pub(crate) fn finish(mut self) -> Result<Arrived, StoreError> {
        let actual = self.so_far();
        if actual != self.digest {
            return Err(StoreError::Mismatch { expected: self.digest, actual });
        }
        Ok(match self.sink {
            Sink::Memory(bytes) => Arrived::Bytes(bytes.into()),
            Sink::File(file) => Arrived::File { path: Arc::new(file.into_temp_path()), digest: self.digest },
        })
    }

    fn so_far(&mut self) -> Digest {
        std::mem::replace(&mut self.hasher, Hasher::new(self.digest.function())).finish()
    }
}

impl Arrived {
    /// The blob for a reader of its own.
    pub(crate) fn open(&self) -> Result<Blob, StoreError> {
        match self {
            Self::Bytes(bytes) => Ok(Blob::Bytes(bytes.clone())),
            Self::File { path, digest } => CheckedFile::open(path, *digest).map(Blob::Checked),
        }
    }
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;

    fn arrive(announced: &Digest, pieces: &[&[u8]], spool: &Path) -> Result<Arrived, StoreError> {
        let mut arriving = Arriving::new(announced, spool)?;
        for piece in pieces {
            arriving.append(piece)?;
        }
        arriving.finish()
    }

    #[test]
    fn what_is_not_the_blob_is_refused_and_leaves_nothing() {
        let spool = tempfile::tempdir().unwrap();
        for len in [10, 1 << 20] {
            let bytes = vec![7; len];
            let digest = DigestFunction::Sha256.digest(&bytes);
            let (front, back) = bytes.split_at(len / 3);
            let arrived = arrive(&digest, &[front, back], spool.path()).unwrap();
            assert_eq!(arrived.open().unwrap().into_bytes().unwrap(), bytes);
            assert_eq!(arrived.open().unwrap().into_bytes().unwrap(), bytes, "each reader from the start");
            drop(arrived);
            let wrong: [&[&[u8]]; 3] = [&[front], &[front, front, front], &[front, back, b"more"]];
            for pieces in wrong {
                let refused = arrive(&digest, pieces, spool.path());
                assert!(matches!(refused, Err(StoreError::Mismatch { expected, .. }) if expected == digest));
            }
            assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0);
        }
    }
}
