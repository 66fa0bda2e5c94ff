//! Trouble with an action cache is a miss.

use std::sync::Arc;

use async_trait::async_trait;
use cullet_digest::Digest;

use crate::{ActionCache, ActionResult, StoreError};

/// Answers a lookup that fails with "no such result", because executing the step again is better than failing the
/// run. Backends bound how long a lookup may take. Failed writes stay errors: whoever writes decides.
#[derive(Debug)]
pub struct Forgiving {
    inner: Arc<dyn ActionCache>,
}

impl Forgiving {
    /// Forgives the lookups of `inner`.
    pub fn new(inner: Arc<dyn ActionCache>) -> Self {
        Self { inner }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for Forgiving {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        Ok(self.inner.get(action).await.unwrap_or_else(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(action = %action.short(), %error, cause, "a failed lookup counts as a miss");
            None
        }))
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        self.inner.put(action, result).await
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.inner.remove(action).await
    }
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;
    use crate::{MemoryActionCache, conformance};

    /// Nothing works.
    #[derive(Debug)]
    struct Broken;

    #[async_trait]
    impl ActionCache for Broken {
        async fn get(&self, _: &Digest) -> Result<Option<ActionResult>, StoreError> {
            Err(StoreError::remote("reach", "nowhere", "there is no such place"))
        }

        async fn put(&self, _: &Digest, _: &ActionResult) -> Result<(), StoreError> {
            Err(StoreError::remote("reach", "nowhere", "there is no such place"))
        }

        async fn remove(&self, _: &Digest) -> Result<(), StoreError> {
            Err(StoreError::remote("reach", "nowhere", "there is no such place"))
        }
    }

    #[tokio::test]
    async fn conforms() {
        conformance::action_cache(|| Forgiving::new(Arc::new(MemoryActionCache::new(100)))).await;
    }

    #[tokio::test]
    async fn a_failed_lookup_is_a_miss_and_a_failed_write_is_not() {
        let cache = Forgiving::new(Arc::new(Broken));
        let action = DigestFunction::Blake3.digest(b"action");
        assert_eq!(cache.get(&action).await.unwrap(), None);
        assert!(cache.put(&action, &conformance::result("")).await.is_err());
        assert!(cache.remove(&action).await.is_err());
    }
}
