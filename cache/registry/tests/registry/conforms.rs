//! What every place for records and data promises, and blobs and results over it.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use cullet_cache::{
    ActionCache, ActionResult, Blob, BlobStore, PackedActions, PackedBlobs, Scope, StoreError, conformance,
};
use cullet_digest::Digest;
use tempfile::TempDir;

use crate::support::{open, start};

/// Blobs and results over a repository, with a place for large blobs.
#[derive(Debug)]
struct Kept {
    blobs: PackedBlobs,
    actions: PackedActions,
    _spool: TempDir,
}

#[async_trait]
impl BlobStore for Kept {
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
impl ActionCache for Kept {
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

#[tokio::test(flavor = "multi_thread")]
async fn conforms_where_the_registry_deletes() {
    conforms(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conforms_where_the_registry_deletes_nothing() {
    conforms(false).await;
}

async fn conforms(deletes: bool) {
    let Some(real) = start(deletes) else { return };
    let count = AtomicUsize::new(0);
    let make = || {
        let repository = format!("team/cache{}", count.fetch_add(1, Ordering::Relaxed));
        open(&real.address, &repository)
    };
    conformance::objects(make).await;
    let packed = || {
        let spool = tempfile::tempdir().unwrap();
        let blobs = PackedBlobs::new(make(), spool.path()).unwrap();
        let actions = PackedActions::new(&blobs, &Scope::Protected);
        Kept { blobs, actions, _spool: spool }
    };
    conformance::blob_store(packed).await;
    conformance::action_cache(packed).await;
}
