//! A store that is of no use.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cullet_digest::Digest;

use crate::{ActionCache, ActionResult, Blob, BlobStore, Discard, Origin, Pieces, StoreError, Trees};

/// Answers nothing, or that it does not want to; counts how often it is asked.
#[derive(Debug, Default)]
pub(super) struct Bad {
    pub(super) asked: AtomicUsize,
    pub(super) silent: AtomicBool,
    /// How long it takes to find nothing, if it does not refuse.
    pub(super) takes: Option<Duration>,
}

impl Bad {
    async fn refuse<T>(&self) -> Result<T, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.silent.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        Err(StoreError::remote("read from", "there", "denied"))
    }
}

#[async_trait]
impl ActionCache for Bad {
    async fn get(&self, _: &Digest) -> Result<Option<ActionResult>, StoreError> {
        let Some(takes) = self.takes else { return self.refuse().await };
        self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(takes).await;
        Ok(None)
    }

    async fn put(&self, _: &Digest, _: &ActionResult) -> Result<(), StoreError> {
        self.refuse().await
    }

    async fn remove(&self, _: &Digest) -> Result<(), StoreError> {
        self.refuse().await
    }
}

#[async_trait]
impl BlobStore for Bad {
    async fn find_missing(&self, _: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        self.refuse().await
    }

    async fn get(&self, _: &Digest) -> Result<Blob, StoreError> {
        self.refuse().await
    }

    async fn put(&self, _: &Digest, _: Blob) -> Result<(), StoreError> {
        self.refuse().await
    }
}

#[async_trait]
impl Origin for Bad {
    fn place(&self) -> &str {
        "there"
    }

    async fn open(&self, _: &Digest, _: u64) -> Result<Pieces, StoreError> {
        self.refuse().await
    }
}

impl Trees for Bad {}

impl Discard for Bad {
    fn discard(&self, _: &Digest) -> Result<(), StoreError> {
        Ok(())
    }
}
