//! What can go wrong in a store.

use std::path::PathBuf;
use std::sync::Arc;

use cullet_digest::Digest;

/// Why a store could not do what it was asked. Cloneable, because one failed read may answer many readers.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The blob is not there.
    #[error("blob {} is not in the cache", .digest.short())]
    NotFound {
        /// Its name.
        digest: Digest,
    },
    /// The bytes are not those that the digest names.
    #[error("blob {} is damaged: its bytes are those of {}", .expected.short(), .actual.short())]
    Mismatch {
        /// What was asked for or announced.
        expected: Digest,
        /// What the bytes hash to.
        actual: Digest,
    },
    /// A blob is larger than the caller is ready to hold in memory.
    #[error("blob {} has {} bytes, more than the {limit} allowed here", .digest.short(), .digest.size())]
    TooLarge {
        /// Its name.
        digest: Digest,
        /// The most bytes allowed.
        limit: u64,
    },
    /// There is no room for more, even after evicting what may be evicted.
    #[error("no space left for the cache in {}: free some, lower its bound (CULLET_CACHE_SIZE), or move it (CULLET_CACHE_DIR)", .path.display())]
    NoSpace {
        /// Where.
        path: PathBuf,
    },
    /// What live runs use fills the store up to its bound, so that there is nothing left to evict.
    #[error("the cache in {} may hold {bound} bytes, and what runs now needs more: raise its bound (CULLET_CACHE_SIZE)", .path.display())]
    OverBound {
        /// Where.
        path: PathBuf,
        /// The bound, in bytes.
        bound: u64,
    },
    /// The store can be read but not written.
    #[error("the cache in {} is read-only: its results can be used, but nothing can be stored or executed; name another directory (CULLET_CACHE_DIR)", .path.display())]
    ReadOnly {
        /// Where.
        path: PathBuf,
    },
    /// The store was made by a version that this one does not know.
    #[error("the cache in {} has format {found}, but this cullet knows up to {known}: use a newer cullet, or another directory (CULLET_CACHE_DIR)", .path.display())]
    FutureVersion {
        /// Where.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// Other processes use the store in a way that forbids what was asked.
    #[error("{runs} other run(s) use the cache in {}", .path.display())]
    InUse {
        /// Where.
        path: PathBuf,
        /// How many live runs other than those of this process.
        runs: usize,
    },
    /// A place elsewhere failed, or refused.
    #[error("cannot {action} {place}")]
    Remote {
        /// What was attempted, such as `read from`.
        action: &'static str,
        /// Where: an address or a location, without credentials.
        place: String,
        /// Why not.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A place elsewhere did not answer in time.
    #[error("{place} did not answer within {after_ms} ms")]
    Deadline {
        /// Where.
        place: String,
        /// How long was waited, in milliseconds.
        after_ms: u64,
    },
    /// A location is not one, or not one that can be used.
    #[error("'{location}' cannot be a shared cache: {reason}")]
    Location {
        /// As it was given, without what follows the host or directory.
        location: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was attempted, such as `read`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: Arc<std::io::Error>,
    },
}

impl StoreError {
    /// Whether the same may succeed another time without anybody having changed anything: a place elsewhere failed or was silent.
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Remote { .. } | Self::Deadline { .. })
    }

    /// A failure elsewhere.
    pub(crate) fn remote(
        action: &'static str,
        place: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Remote { action, place: place.to_owned(), source: Arc::from(source.into()) }
    }

    /// A place that let a deadline pass.
    pub(crate) fn deadline(place: &str, after: std::time::Duration) -> Self {
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        Self::Deadline { place: place.to_owned(), after_ms }
    }

    /// Sorts an I/O error into its kind.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            std::io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Io { action, path, source: Arc::new(source) },
        }
    }
}
