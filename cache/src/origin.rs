//! Where blobs come from when they are elsewhere.

use std::fmt::Debug;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::{Digest, Hasher};
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;

use crate::StoreError;

/// The bytes of a blob in order, in pieces of any length. Not checked.
pub type Pieces = BoxStream<'static, Result<Bytes, StoreError>>;

/// A place that sends blobs. Apart from [`crate::BlobStore::get`], which hands out whole blobs: who keeps what
/// arrives writes it once, where it shall stay, and goes on where a broken connection left off.
#[async_trait]
pub trait Origin: Debug + Send + Sync {
    /// What to call it in messages.
    fn place(&self) -> &str;

    /// Starts sending the blob without its first `offset` bytes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where it is not there. Later pieces may be errors as well.
    async fn open(&self, digest: &Digest, offset: u64) -> Result<Pieces, StoreError>;

    /// What is sent for the digest now; none where it is not there, or where telling would mean reading it.
    async fn stamp(&self, _digest: &Digest) -> Result<Option<Stamp>, StoreError> {
        Ok(None)
    }
}

/// A file, as it was when somebody looked: what is written into it, or takes its place, has another stamp. The time of its last
/// change of state says nothing: every link that comes or goes changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(found: &Metadata) -> Self {
        let modified = (found.mtime(), found.mtime_nsec());
        Self { device: found.dev(), inode: found.ino(), length: found.len(), modified }
    }
}

/// Whether other bytes than those of the digest are sent for it now. Where there are none, nothing is damaged.
pub(crate) async fn sends_others(origin: &dyn Origin, digest: &Digest) -> Result<bool, StoreError> {
    let hashed = async {
        let mut pieces = origin.open(digest, 0).await?;
        let mut hasher = Hasher::new(digest.function());
        while let Some(piece) = pieces.try_next().await? {
            hasher.update(&piece);
        }
        Ok(hasher.finish())
    };
    match hashed.await {
        Ok(actual) => Ok(actual != *digest),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
