//! Versions of volumes in a content-addressed store, so that another machine can have them: a manifest with everything that
//! is in a volume, and the chunks of its files. Chunks are cut where the content says so (FastCDC, Xia et al., USENIX ATC 2016
//! and IEEE TPDS 2020), so that a change in the middle of a file changes the chunks around it and no others. They lie one behind
//! the other in packs, which are the blobs: thousands of small files are few requests. The next version names the packs that
//! it still has use for, and has packs of its own for what is new.

mod manifest;
mod packs;
mod restore;
mod scan;
mod store;

#[cfg(test)]
mod tests;

pub(super) use manifest::Manifest;
pub(super) use restore::{Local, restore};
pub(super) use scan::scan;
pub(super) use store::plan;

use std::time::Duration;

use bytes::Bytes;
use cullet_cache::{BlobStore, StoreError};
use cullet_digest::{Digest, DigestFunction};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

/// The digest function of chunks, packs and manifests.
const FUNCTION: DigestFunction = DigestFunction::Blake3;

/// Chunks are of 64 KiB to 1 MiB, 256 KiB in the mean: most files of package managers are one chunk, and of a gigabyte there
/// are four thousand.
const LEAST_CHUNK: usize = 64 << 10;
const MEAN_CHUNK: usize = 256 << 10;
const MOST_CHUNK: usize = 1 << 20;

/// The most bytes of a pack: 4 MiB, which shared stores take in one request.
const MOST_PACK: u64 = 4 << 20;

/// The largest manifest: some half a million files.
const MOST_MANIFEST: u64 = 64 << 20;

/// Packs that are on their way at the same time: 32 MiB of memory, enough for a store that answers in 20 ms.
const AT_ONCE: usize = 8;

/// Why a version could not be stored or restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChunkError {
    /// The store said no, or has lost a part of it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file or directory of this machine could not be read or made.
    #[error("cannot {action} '{path}' of a volume")]
    Io {
        /// What could not be done.
        action: &'static str,
        /// To what, relative to the volume.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The manifest is none, or one that leads out of the volume.
    #[error("{} is no manifest of a volume", .0.short())]
    Manifest(Digest),
    /// A file of this machine is not what it was a moment ago.
    #[error("'{0}' of a volume has changed")]
    Changed(String),
    /// It would take more than it may.
    #[error("it would take more than {0} bytes")]
    TooLarge(u64),
    /// It has too many files.
    #[error("it has more files than travel")]
    TooMany,
    /// It takes too long.
    #[error("it takes longer than {0} s")]
    TooSlow(u64),
}

impl ChunkError {
    fn io<E: Into<std::io::Error>>(action: &'static str, path: &[u8]) -> impl FnOnce(E) -> Self + use<E> {
        let path = String::from_utf8_lossy(path).into_owned();
        move |error| Self::Io { action, path, source: error.into() }
    }
}

/// The way to a store, for threads that block, and for so long.
pub(super) struct Way<'a> {
    pub(super) blobs: &'a dyn BlobStore,
    pub(super) runtime: &'a Handle,
    began: Instant,
    patience: Duration,
}

impl<'a> Way<'a> {
    pub(super) fn new(blobs: &'a dyn BlobStore, runtime: &'a Handle, patience: Duration) -> Self {
        Self { blobs, runtime, began: Instant::now(), patience }
    }

    /// What the store answers, if that is in time.
    pub(super) async fn ask<T>(
        &self,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, ChunkError> {
        match timeout_at(self.began + self.patience, asked).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(self.too_slow()),
        }
    }

    /// A blob of at most so many bytes; exactly that blob.
    pub(super) async fn get(&self, digest: &Digest, most: u64) -> Result<Bytes, ChunkError> {
        if digest.size() > most {
            return Err(StoreError::TooLarge { digest: *digest, limit: most }.into());
        }
        let blob = self.ask(self.blobs.get(digest)).await?;
        if blob.len() != digest.size() {
            return Err(StoreError::NotFound { digest: *digest }.into());
        }
        let bytes = blob.into_bytes().map_err(ChunkError::io("read", b""))?;
        check(digest, &bytes)?;
        Ok(bytes)
    }

    fn is_in_time(&self) -> Result<(), ChunkError> {
        if self.began.elapsed() > self.patience { Err(self.too_slow()) } else { Ok(()) }
    }

    /// Gives up early where most of it is still to come and there will not be the time.
    fn is_hopeful(&self, done: u64, all: u64) -> Result<(), ChunkError> {
        let spent = self.began.elapsed();
        let needs = spent.as_secs_f64() * all as f64 / done.max(1) as f64;
        let is_late = spent > self.patience || (spent > EARLY && needs > self.patience.as_secs_f64());
        if is_late && done < all { Err(self.too_slow()) } else { Ok(()) }
    }

    fn too_slow(&self) -> ChunkError {
        ChunkError::TooSlow(self.patience.as_secs())
    }
}

/// How long it takes to know how fast a store is.
const EARLY: Duration = Duration::from_secs(10);

/// The manifest of a version.
pub(super) fn read(way: &Way<'_>, digest: &Digest) -> Result<Manifest, ChunkError> {
    Manifest::decode(digest, &way.runtime.block_on(way.get(digest, MOST_MANIFEST))?)
}

fn check(expected: &Digest, bytes: &[u8]) -> Result<(), ChunkError> {
    let actual = expected.function().digest(bytes);
    if actual == *expected {
        Ok(())
    } else {
        Err(StoreError::Mismatch { expected: *expected, actual }.into())
    }
}
