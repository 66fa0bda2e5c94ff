//! Versions of volumes in a content-addressed store, so that another machine can have them: a manifest with everything that
//! is in a volume, and of files the chunks. Chunks are cut where the content says so (FastCDC, Xia et al., USENIX ATC 2016
//! and IEEE TPDS 2020), so that a change in the middle of a file changes the chunks around it and no others; their names are
//! digests, and whatever two versions have in common is stored once.

mod manifest;
mod restore;
mod store;

#[cfg(test)]
mod tests;

pub use restore::{Restored, restore};
pub use store::{Stored, store};

use cullet_cache::StoreError;
use cullet_digest::{Digest, DigestFunction};

/// The digest function of chunks and manifests.
const FUNCTION: DigestFunction = DigestFunction::Blake3;

/// Chunks are of 64 KiB to 1 MiB, 256 KiB in the mean: most files of package managers are one chunk, and of a gigabyte there
/// are four thousand.
const LEAST_CHUNK: usize = 64 << 10;
const MEAN_CHUNK: usize = 256 << 10;
const MOST_CHUNK: usize = 1 << 20;

/// The largest manifest that is read: more than two million files.
const MOST_MANIFEST: u64 = 256 << 20;

/// Why a version could not be stored or restored.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
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
    /// It would take more than it may.
    #[error("it would take more than {0} bytes")]
    TooLarge(u64),
}

impl ChunkError {
    fn io<E: Into<std::io::Error>>(action: &'static str, path: &[u8]) -> impl FnOnce(E) -> Self + use<E> {
        let path = String::from_utf8_lossy(path).into_owned();
        move |error| Self::Io { action, path, source: error.into() }
    }
}
