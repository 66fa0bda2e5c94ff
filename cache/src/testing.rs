//! Stores for the suites of [`crate::conformance`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use tempfile::TempDir;

use crate::{ActionCache, ActionResult, Blob, BlobStore, StoreError};

/// A store that lives as long as its directory.
#[derive(Debug)]
pub(crate) struct Kept<T>(pub(crate) T, pub(crate) Arc<TempDir>);

#[async_trait]
impl<S: BlobStore> BlobStore for Kept<S> {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        self.0.find_missing(digests).await
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        self.0.get(digest).await
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.0.put(digest, blob).await
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        self.0.put_small(blobs).await
    }
}

#[async_trait]
impl<C: ActionCache> ActionCache for Kept<C> {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        self.0.get(action).await
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        self.0.put(action, result).await
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.0.remove(action).await
    }
}

/// The whole stack, as programs use it.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) actions: Arc<dyn ActionCache>,
}

#[async_trait]
impl BlobStore for Stack {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        self.blobs.find_missing(digests).await
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        self.blobs.get(digest).await
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.blobs.put(digest, blob).await
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        self.blobs.put_small(blobs).await
    }
}

#[async_trait]
impl ActionCache for Stack {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        self.actions.get(action).await
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        self.actions.put(action, result).await
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.actions.remove(action).await
    }
}
