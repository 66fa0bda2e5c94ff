//! The suites that every backend runs.

use std::sync::Arc;

use async_trait::async_trait;
use cullet_digest::Digest;
use tempfile::TempDir;

use super::*;
use crate::{ActionCache, ActionResult, Blob, BlobStore, LocalCache, StoreError, conformance};

/// A store that lives as long as its directory.
#[derive(Debug)]
struct Kept<T>(T, #[expect(dead_code, reason = "dropped last")] Arc<TempDir>);

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
struct Stack(LocalCache);

#[async_trait]
impl BlobStore for Stack {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        self.0.blobs.find_missing(digests).await
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        self.0.blobs.get(digest).await
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.0.blobs.put(digest, blob).await
    }
}

#[async_trait]
impl ActionCache for Stack {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        self.0.actions.get(action).await
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        self.0.actions.put(action, result).await
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.0.actions.remove(action).await
    }
}

#[tokio::test]
async fn the_directory_is_a_blob_store() {
    conformance::blob_store(|| {
        let (dir, store) = store();
        Kept(store, Arc::new(dir))
    })
    .await;
}

#[tokio::test]
async fn the_directory_is_an_action_cache() {
    conformance::action_cache(|| {
        let (dir, store) = store();
        Kept(actions(&store), Arc::new(dir))
    })
    .await;
}

#[tokio::test]
async fn the_whole_stack_is_both() {
    let stack = || {
        let dir = tempfile::tempdir().unwrap();
        Kept(Stack(crate::open(&OpenOptions::new(dir.path())).unwrap()), Arc::new(dir))
    };
    conformance::blob_store(stack).await;
    conformance::action_cache(stack).await;
}

#[test]
fn it_works_without_a_runtime_of_tokio() {
    let (_dir, store) = store();
    let (digest, bytes) = block(1, MIB);
    store.put_blocking(&digest, bytes.clone().into()).unwrap();
    let blob = store.get_blocking(&digest).unwrap();
    assert_eq!(blob.into_bytes().unwrap(), bytes);
}
