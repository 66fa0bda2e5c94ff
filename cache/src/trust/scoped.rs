//! The results of a scope, and behind them those that everybody reads.

use std::sync::Arc;

use async_trait::async_trait;
use cullet_digest::Digest;
use futures_util::future::join_all;

use crate::{ActionCache, ActionResult, StoreError};

/// Reads results of several scopes in a certain order; writes to the own scope only.
#[derive(Debug)]
pub struct ScopedActions {
    own: Arc<dyn ActionCache>,
    read: Vec<Arc<dyn ActionCache>>,
}

impl ScopedActions {
    /// `behind` is read in this order where `own` has nothing, and never written.
    pub fn new(own: Arc<dyn ActionCache>, behind: Vec<Arc<dyn ActionCache>>) -> Self {
        let read = std::iter::once(own.clone()).chain(behind).collect();
        Self { own, read }
    }

    /// `before` is read in this order, then `own`, and only `own` is written.
    pub fn behind(before: Vec<Arc<dyn ActionCache>>, own: Arc<dyn ActionCache>) -> Self {
        let read = before.into_iter().chain([own.clone()]).collect();
        Self { own, read }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for ScopedActions {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        // All at once: mostly there is nothing in the own scope, and whoever builds a chain waits for each answer.
        let mut answers = join_all(self.read.iter().map(|scope| scope.get(action))).await;
        match answers.iter().position(|answer| matches!(answer, Ok(Some(_)))) {
            Some(found) => answers.swap_remove(found),
            None => answers.into_iter().find(Result::is_err).unwrap_or(Ok(None)),
        }
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        self.own.put(action, result).await
    }

    /// In the own scope. What is in others is not this one's to remove.
    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.own.remove(action).await
    }
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;
    use crate::{MemoryActionCache, conformance};

    fn memory() -> Arc<MemoryActionCache> {
        Arc::new(MemoryActionCache::new(100))
    }

    #[tokio::test]
    async fn conforms() {
        conformance::action_cache(|| ScopedActions::new(memory(), vec![memory()])).await;
        conformance::action_cache(|| ScopedActions::behind(vec![memory()], memory())).await;
    }

    #[tokio::test]
    async fn what_others_have_goes_before_what_is_behind_them_and_stays_as_it_is() {
        let (own, protected) = (memory(), memory());
        let scoped = ScopedActions::behind(vec![protected.clone()], own.clone());
        let action = DigestFunction::Blake3.digest(b"both");
        protected.put(&action, &conformance::result("protected")).await.unwrap();
        scoped.put(&action, &conformance::result("own")).await.unwrap();
        assert_eq!(scoped.get(&action).await.unwrap(), Some(conformance::result("protected")));
        assert_eq!(own.get(&action).await.unwrap(), Some(conformance::result("own")));
        protected.remove(&action).await.unwrap();
        assert_eq!(scoped.get(&action).await.unwrap(), Some(conformance::result("own")));
    }

    #[tokio::test]
    async fn the_own_scope_is_read_first_and_written_alone() {
        let (own, protected) = (memory(), memory());
        let scoped = ScopedActions::new(own.clone(), vec![protected.clone()]);
        let [both, theirs, new] =
            ["both", "theirs", "new"].map(|text| DigestFunction::Blake3.digest(text.as_bytes()));
        own.put(&both, &conformance::result("own")).await.unwrap();
        protected.put(&both, &conformance::result("protected")).await.unwrap();
        protected.put(&theirs, &conformance::result("protected")).await.unwrap();
        scoped.put(&new, &conformance::result("new")).await.unwrap();
        assert_eq!(scoped.get(&both).await.unwrap(), Some(conformance::result("own")));
        assert_eq!(scoped.get(&theirs).await.unwrap(), Some(conformance::result("protected")));
        assert_eq!(protected.get(&new).await.unwrap(), None);
        scoped.remove(&theirs).await.unwrap();
        assert!(protected.get(&theirs).await.unwrap().is_some());
    }
}
