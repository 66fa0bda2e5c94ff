//! A second place to look.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;

use crate::{Blob, BlobStore, StoreError};

/// Reads from a primary store, then from a secondary one; writes to the primary only. Nothing is copied between
/// them.
#[derive(Debug)]
pub struct Fallback {
    primary: Arc<dyn BlobStore>,
    secondary: Arc<dyn BlobStore>,
}

impl Fallback {
    /// `secondary` is asked for what `primary` does not have.
    pub fn new(primary: Arc<dyn BlobStore>, secondary: Arc<dyn BlobStore>) -> Self {
        Self { primary, secondary }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for Fallback {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let missing = self.primary.find_missing(digests).await?;
        if missing.is_empty() { Ok(missing) } else { self.secondary.find_missing(&missing).await }
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        match self.primary.get(digest).await {
            // A damaged blob is as good as none: the other store may have it whole.
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => {
                self.secondary.get(digest).await
            }
            outcome => outcome,
        }
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.primary.put(digest, blob).await
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        self.primary.put_small(blobs).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use cullet_digest::DigestFunction;

    use super::*;
    use crate::{MemoryStore, conformance};

    fn memory() -> Arc<MemoryStore> {
        Arc::new(MemoryStore::new(64 << 20))
    }

    #[tokio::test]
    async fn conforms() {
        conformance::blob_store(|| Fallback::new(memory(), memory())).await;
    }

    #[tokio::test]
    async fn the_secondary_is_read_and_never_written() {
        let (primary, secondary) = (memory(), memory());
        let store = Fallback::new(primary.clone(), secondary.clone());
        let [old, new, none] =
            ["old", "new", "none"].map(|text| DigestFunction::Blake3.digest(text.as_bytes()));
        secondary.put(&old, Bytes::from_static(b"old").into()).await.unwrap();
        store.put(&new, Bytes::from_static(b"new").into()).await.unwrap();
        assert_eq!(store.find_missing(&[new, none, old]).await.unwrap(), [none]);
        assert_eq!(store.get(&old).await.unwrap().into_bytes().unwrap(), "old");
        assert_eq!(secondary.find_missing(&[new]).await.unwrap(), [new]);
        assert_eq!(primary.find_missing(&[old]).await.unwrap(), [old]);
    }
}
