//! Blobs in memory: for tests, and for what need not outlive the process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Buf as _, Bytes};
use cullet_digest::Digest;
use futures_util::stream;

use crate::blob::is_the_empty_blob;
use crate::origin::{Origin, Pieces};
use crate::{Blob, BlobStore, Discard, StoreError, Trees};

/// Blobs in memory, at most so many bytes of them. Nothing is evicted: who fills it must be able to hear no.
#[derive(Debug)]
pub struct MemoryStore {
    limit: u64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    blobs: HashMap<Digest, Bytes>,
    bytes: u64,
}

impl MemoryStore {
    /// An empty store for at most `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { limit, held: Mutex::default() }
    }

    /// Forgets a blob.
    pub fn remove(&self, digest: &Digest) {
        let mut held = self.lock();
        if let Some(bytes) = held.blobs.remove(digest) {
            held.bytes -= bytes.len() as u64;
        }
    }

    /// Puts bytes under a digest that need not be theirs.
    #[cfg(any(test, feature = "conformance"))]
    pub fn damage(&self, digest: &Digest, bytes: Bytes) {
        self.remove(digest);
        let mut held = self.lock();
        held.bytes += bytes.len() as u64;
        held.blobs.insert(*digest, bytes);
    }

    fn read(&self, digest: &Digest) -> Option<Bytes> {
        if is_the_empty_blob(digest) {
            return Some(Bytes::new());
        }
        self.lock().blobs.get(digest).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Every change is a single insertion or removal with its count; a panic cannot come between.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for MemoryStore {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        Ok(digests.iter().filter(|digest| self.read(digest).is_none()).copied().collect())
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        self.read(digest).map(Blob::Bytes).ok_or(StoreError::NotFound { digest: *digest })
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        let full = || StoreError::NoSpace { path: "memory".into() };
        if blob.len() > self.limit {
            return Err(full());
        }
        let bytes =
            blob.into_bytes().map_err(|error| StoreError::io("read", "a blob to be stored", error))?;
        let actual = digest.function().digest(&bytes);
        if actual != *digest {
            return Err(StoreError::Mismatch { expected: *digest, actual });
        }
        let mut held = self.lock();
        if held.blobs.contains_key(digest) {
            return Ok(());
        }
        if held.bytes + digest.size() > self.limit {
            return Err(full());
        }
        held.bytes += digest.size();
        held.blobs.insert(*digest, bytes);
        Ok(())
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        crate::blob_store::one_by_one(self, blobs).await
    }
}

impl Trees for MemoryStore {}

#[async_trait]
impl Origin for MemoryStore {
    fn place(&self) -> &str {
        "memory"
    }

    async fn open(&self, digest: &Digest, offset: u64) -> Result<Pieces, StoreError> {
        let mut bytes = self.read(digest).ok_or(StoreError::NotFound { digest: *digest })?;
        bytes.advance(usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len()));
        Ok(Box::pin(stream::once(async { Ok(bytes) })))
    }
}

impl Discard for MemoryStore {
    fn discard(&self, digest: &Digest) -> Result<(), StoreError> {
        if self.read(digest).is_some_and(|bytes| digest.function().digest(&bytes) != *digest) {
            self.remove(digest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn conforms() {
        conformance::blob_store(|| MemoryStore::new(64 << 20)).await;
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused() {
        let store = MemoryStore::new(10);
        let put = |text: &'static [u8]| {
            let store = &store;
            async move { store.put(&DigestFunction::Blake3.digest(text), Bytes::from_static(text).into()).await }
        };
        put(b"12345678").await.unwrap();
        put(b"12345678").await.unwrap();
        assert!(matches!(put(b"abc").await, Err(StoreError::NoSpace { .. })));
        put(b"ab").await.unwrap();
        store.remove(&DigestFunction::Blake3.digest(b"12345678"));
        put(b"abc").await.unwrap();
    }
}
