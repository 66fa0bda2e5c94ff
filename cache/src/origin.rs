//! Where blobs come from when they are elsewhere.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
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
}
