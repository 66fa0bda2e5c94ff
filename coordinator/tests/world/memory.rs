//! A cache in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_cache::{ActionCache, ActionResult, Blob, BlobStore, StoreError};
use cullet_digest::Digest;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) blobs: Mutex<BTreeMap<Digest, Bytes>>,
    pub(crate) results: Mutex<BTreeMap<Digest, ActionResult>>,
}

#[async_trait]
impl BlobStore for Memory {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let blobs = self.blobs.lock().unwrap();
        Ok(digests.iter().filter(|digest| !blobs.contains_key(digest)).copied().collect())
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        let found = self.blobs.lock().unwrap().get(digest).cloned();
        found.map(Blob::Bytes).ok_or(StoreError::NotFound { digest: *digest })
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.blobs.lock().unwrap().insert(*digest, blob.into_bytes().unwrap());
        Ok(())
    }
}

#[async_trait]
impl ActionCache for Memory {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        Ok(self.results.lock().unwrap().get(action).cloned())
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        self.results.lock().unwrap().insert(*action, result.clone());
        Ok(())
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.results.lock().unwrap().remove(action);
        Ok(())
    }
}
