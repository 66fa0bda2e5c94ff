//! Results in memory: for tests, and for runs that shall leave nothing behind.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cullet_digest::Digest;

use crate::{ActionCache, ActionResult, StoreError};

/// Results in memory, at most so many of them.
#[derive(Debug)]
pub struct MemoryActionCache {
    limit: usize,
    results: Mutex<HashMap<Digest, ActionResult>>,
}

impl MemoryActionCache {
    /// An empty cache for at most `limit` results.
    pub fn new(limit: usize) -> Self {
        Self { limit, results: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, ActionResult>> {
        // A panic cannot leave the map half changed.
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for MemoryActionCache {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        Ok(self.lock().get(action).cloned())
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        let mut results = self.lock();
        if results.len() >= self.limit && !results.contains_key(action) {
            return Err(StoreError::NoSpace { path: "memory".into() });
        }
        results.insert(*action, result.clone());
        Ok(())
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.lock().remove(action);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn conforms() {
        conformance::action_cache(|| MemoryActionCache::new(100)).await;
    }

    #[tokio::test]
    async fn it_is_bounded() {
        let cache = MemoryActionCache::new(1);
        let [first, second] = [b"1", b"2"].map(|text| cullet_digest::DigestFunction::Blake3.digest(text));
        cache.put(&first, &conformance::result("a")).await.unwrap();
        cache.put(&first, &conformance::result("b")).await.unwrap();
        let refused = cache.put(&second, &conformance::result("c")).await;
        assert!(matches!(refused, Err(StoreError::NoSpace { .. })));
    }
}
