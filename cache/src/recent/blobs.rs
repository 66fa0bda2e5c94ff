//! Blobs that were just seen, and small ones that were just read or stored.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::MOMENT;
use crate::{Blob, BlobStore, StoreError};

/// A store of which is remembered what was just seen there; see the [module](super). Checking bytes is the business of the
/// store.
#[derive(Debug)]
pub struct RecentBlobs {
    inner: Arc<dyn BlobStore>,
    seen: Cache<Digest, Instant>,
    small: Cache<Digest, Bytes, ByLength>,
}

/// Blobs of which is remembered that they are there, about 16 MiB of digests.
const MOST_SEEN: usize = 1 << 17;

/// The largest blob that is kept in memory, in bytes: about what a read of a file costs less than handing it to a thread.
const SMALL: u64 = 64 << 10;

/// Bytes of blobs in memory.
const MOST_BYTES: u64 = 64 << 20;

#[derive(Debug, Clone)]
struct ByLength;

impl quick_cache::Weighter<Digest, Bytes> for ByLength {
    fn weight(&self, digest: &Digest, bytes: &Bytes) -> u64 {
        (size_of_val(digest) + size_of_val(bytes) + bytes.len()) as u64
    }
}

impl RecentBlobs {
    /// A store behind a memory.
    pub fn new(inner: Arc<dyn BlobStore>) -> Self {
        let small = Cache::with_weighter(MOST_BYTES as usize / (4 << 10), MOST_BYTES, ByLength);
        Self { inner, seen: Cache::new(MOST_SEEN), small }
    }

    fn has_seen(&self, digest: &Digest, now: Instant) -> bool {
        self.seen.get(digest).is_some_and(|seen| now.duration_since(seen) < MOMENT)
    }

    fn keep(&self, digest: &Digest, bytes: &Bytes) {
        if digest.size() <= SMALL {
            self.small.insert(*digest, bytes.clone());
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for RecentBlobs {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        // What is seen from now on is seen then at the latest.
        let now = Instant::now();
        let unseen: Vec<Digest> =
            digests.iter().filter(|digest| !self.has_seen(digest, now)).copied().collect();
        if unseen.is_empty() {
            return Ok(unseen);
        }
        let missing = self.inner.find_missing(&unseen).await?;
        let gone: HashSet<&Digest> = missing.iter().collect();
        unseen
            .iter()
            .filter(|digest| !gone.contains(digest))
            .for_each(|digest| self.seen.insert(*digest, now));
        Ok(missing)
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        if let Some(bytes) = self.small.get(digest) {
            return Ok(Blob::Bytes(bytes));
        }
        let found = self.inner.get(digest).await;
        match &found {
            Ok(Blob::Bytes(bytes)) => self.keep(digest, bytes),
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => drop(self.seen.remove(digest)),
            Ok(_) | Err(_) => {}
        }
        found
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        let bytes = match &blob {
            Blob::Bytes(bytes) if digest.size() <= SMALL => Some(bytes.clone()),
            _ => None,
        };
        let now = Instant::now();
        self.inner.put(digest, blob).await?;
        self.seen.insert(*digest, now);
        bytes.iter().for_each(|bytes| self.keep(digest, bytes));
        Ok(())
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        let (kept, now) = (blobs.clone(), Instant::now());
        self.inner.put_small(blobs).await?;
        for (digest, bytes) in &kept {
            self.seen.insert(*digest, now);
            self.keep(digest, bytes);
        }
        Ok(())
    }
}
