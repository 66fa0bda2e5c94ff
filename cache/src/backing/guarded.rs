//! The shared store as a tier that never fails a run: what it cannot send is not there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use futures_util::TryStreamExt as _;
use tokio::sync::Semaphore;

use super::breaker::{Breaker, is_trouble};
use crate::{ActionCache, ActionResult, Blob, BlobStore, Discard, Origin, Pieces, SharedBlobs, StoreError};

/// How long a question without bytes to carry may take. It is asked for every step, and a run without the store takes this
/// much longer, once.
pub(super) const LOOKUP: Duration = Duration::from_secs(3);

/// How long a write may take on top of what its bytes need.
pub(super) const WRITE: Duration = Duration::from_secs(20);

/// Bytes that must come or go in a second: 128 KiB. Who has a slower line is better off without.
const PER_SECOND: u64 = 128 << 10;

/// Bytes that come before a blob is said to be sent: at most one part of it.
const FIRST: u64 = 8 << 20;

/// KiB of blobs that are sent at the same time: 128 MiB of memory, enough for a fast line.
pub(super) const BUDGET: u32 = 128 << 10;

/// KiB that one blob takes of it at most: what a large one has in memory while its parts are sent.
const MOST_OF_BUDGET: u32 = 32 << 10;

/// Questions about single blobs that are answered in a second, at least.
const QUESTIONS_PER_SECOND: u64 = 100;

/// The most that is read into memory by those who want a whole blob at once. The tiers want pieces.
const MOST_WHOLE: u64 = 64 << 20;

/// See the module. In a store that is only read, nothing is stored, replaced or removed.
#[derive(Debug)]
pub(super) struct Guarded<S: ?Sized> {
    pub(super) store: Arc<S>,
    pub(super) reads: Arc<Breaker>,
    /// None where it is only read.
    pub(super) writes: Option<Arc<Breaker>>,
    pub(super) place: String,
    /// [`BUDGET`], shared by all who write.
    pub(super) budget: Arc<Semaphore>,
}

impl<S: ?Sized> Guarded<S> {
    /// The same before another store of the same place.
    pub(super) fn before<T: ?Sized>(&self, store: Arc<T>) -> Guarded<T> {
        let Self { reads, writes, place, budget, .. } = self;
        Guarded {
            store,
            reads: Arc::clone(reads),
            writes: writes.clone(),
            place: place.clone(),
            budget: Arc::clone(budget),
        }
    }

    /// Where to write, unless it would not be of any use.
    pub(super) fn writes(&self) -> Result<&Breaker, StoreError> {
        let refused = |why: &'static str| StoreError::remote("store in", &self.place, why);
        let writes = self.writes.as_ref().ok_or_else(|| refused("it is only read"))?;
        if self.reads.is_broken() { Err(refused("it could not be read")) } else { Ok(writes) }
    }
}

pub(super) fn time_for(bytes: u64) -> Duration {
    Duration::from_secs(bytes / PER_SECOND)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for Guarded<dyn SharedBlobs> {
    /// Where it cannot be asked, everything is missing.
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let patience = LOOKUP + Duration::from_secs(digests.len() as u64 / QUESTIONS_PER_SECOND);
        let answer = self.reads.ask(patience, self.store.find_missing(digests)).await;
        Ok(answer.unwrap_or_else(|_| digests.to_vec()))
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        if digest.size() > MOST_WHOLE {
            return Err(StoreError::TooLarge { digest: *digest, limit: MOST_WHOLE });
        }
        let pieces: Vec<Bytes> = self.open(digest, 0).await?.try_collect().await?;
        Ok(Blob::from(pieces.concat()))
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.writes()?;
        let share = u32::try_from(digest.size() >> 10).unwrap_or(u32::MAX).clamp(1, MOST_OF_BUDGET);
        // Never closed, so the permits always come. Meanwhile others may have found out how bad the store is.
        let _permits = self.budget.acquire_many(share).await;
        self.writes()?.ask(WRITE + time_for(digest.size()), self.store.put(digest, blob)).await
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        let bytes: u64 = blobs.iter().map(|(digest, _)| digest.size()).sum();
        self.writes()?.ask(WRITE + time_for(bytes), self.store.put_small(blobs)).await
    }
}

#[async_trait]
impl Origin for Guarded<dyn SharedBlobs> {
    fn place(&self) -> &str {
        &self.place
    }

    async fn open(&self, digest: &Digest, offset: u64) -> Result<Pieces, StoreError> {
        let patience = LOOKUP + time_for(digest.size().min(FIRST));
        let opened = self.reads.ask(patience, self.store.open(digest, offset)).await;
        opened.map_err(|error| match error {
            error if is_trouble(&error) => StoreError::NotFound { digest: *digest },
            error => error,
        })
    }
}

impl Discard for Guarded<dyn SharedBlobs> {
    fn discard(&self, digest: &Digest) -> Result<(), StoreError> {
        match &self.writes {
            Some(_) => self.store.discard(digest),
            None => Ok(()),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for Guarded<dyn ActionCache> {
    /// Trouble is a miss.
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        Ok(self.reads.ask(LOOKUP, self.store.get(action)).await.unwrap_or_default())
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        self.writes()?.ask(WRITE, self.store.put(action, result)).await
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.writes()?.ask(WRITE, self.store.remove(action)).await
    }
}
