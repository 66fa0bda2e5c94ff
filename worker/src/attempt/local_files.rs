//! What an attempt needs from the cache of its own machine.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use cullet_cache::StoreError;
use cullet_digest::{Digest, DigestFunction};

/// Blobs as files, in and out without passing through memory. All of it blocks.
pub trait LocalFiles: Debug + Send + Sync {
    /// Makes `dest`, which does not exist, a hard link to the blob (or a copy, where that cannot be), with the
    /// mode that `executable` asks for and the mtime that all blobs have.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the blob is not there, [`StoreError::Mismatch`] where it was damaged.
    fn link_to(&self, digest: &Digest, executable: bool, dest: &Path) -> Result<(), StoreError>;

    /// Hashes a file that the caller gives up and that nobody writes to any more, and makes it a blob, by a
    /// rename where that is possible. Afterwards the file may or may not be there.
    fn adopt_file(&self, path: &Path, function: DigestFunction) -> Result<Digest, StoreError>;

    /// As [`LocalFiles::adopt_file`] for a file that somebody may still hold open: the blob is a copy in an inode
    /// that nobody else has ever seen.
    fn adopt_copy(&self, path: &Path, function: DigestFunction) -> Result<Digest, StoreError>;

    /// Copies a file that should be the blob of `expected`.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] where it is another blob; nothing is stored then.
    fn ingest_copy(&self, expected: &Digest, source: &Path) -> Result<(), StoreError>;
}

/// Where sources lie that were hashed in place and never copied into the cache.
pub trait SourceFiles: Debug + Send + Sync {
    /// A file of this machine that had this content when it was hashed.
    fn locate(&self, digest: &Digest) -> Option<PathBuf>;
}

/// No sources but those in the cache.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSourceFiles;

impl SourceFiles for NoSourceFiles {
    fn locate(&self, _: &Digest) -> Option<PathBuf> {
        None
    }
}
