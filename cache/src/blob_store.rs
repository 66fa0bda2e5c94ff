//! The content-addressed store.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;

use crate::{Blob, StoreError};

/// Blobs by digest (the CAS of REAPI v2). The empty blob is in every store, stored or not.
///
/// Futures may be dropped at any point: a blob is then either there, whole, or not there.
#[async_trait]
pub trait BlobStore: Debug + Send + Sync {
    /// Those of `digests` that cannot be read here, in the order given. What is not named stays readable for
    /// as long as the store's holder has announced a live run (see the backend).
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError>;

    /// The blob.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where it is not there; whether the bytes were checked is the business of the
    /// decorators around the backend.
    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError>;

    /// Stores the blob, unless it is there already. Visible to others only when whole.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] where the bytes are not those of the digest; nothing is stored then.
    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError>;

    /// Stores blobs of a few kilobytes each that are most likely not there, together for less than one by one where the
    /// backend can. An error may leave some of them stored and others not.
    ///
    /// # Errors
    /// As [`BlobStore::put`].
    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        one_by_one(self, blobs).await
    }
}

/// What a backend does that gains nothing by storing several blobs together.
pub(crate) async fn one_by_one(
    store: &(impl BlobStore + ?Sized),
    blobs: Vec<(Digest, Bytes)>,
) -> Result<(), StoreError> {
    for (digest, bytes) in blobs {
        store.put(&digest, bytes.into()).await?;
    }
    Ok(())
}
