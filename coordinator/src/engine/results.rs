//! The results of a cluster, by whose they are.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use cullet_cache::{
    ActionCache, CompletenessChecking, KeptRecords, PublicKey, Scope, SharedCache, StoreError, TrustOptions,
};
use cullet_core::Run;
use cullet_digest::Digest;

/// The results of a cluster.
#[async_trait]
pub trait Results: Debug + Send + Sync {
    /// As runs of a scope see them: they read their own and then the protected ones, and write their own.
    fn of(&self, scope: &Scope) -> ScopeResults;

    /// When the result of an action was removed by garbage collection last, as far as the store remembers that.
    async fn evicted(&self, _scope: &Scope, _action: &Digest) -> Result<Option<SystemTime>, StoreError> {
        Ok(None)
    }

    /// Results of one scope and no other, complete or not, whoever made them, where they can be looked at so.
    fn only(&self, _scope: &Scope) -> Option<Arc<dyn ActionCache>> {
        None
    }

    /// Takes a result out of a scope, and out of what is remembered of runs of a pipeline there.
    async fn remove(&self, scope: &Scope, _pipeline: &str, action: &Digest) -> Result<(), StoreError> {
        match self.only(scope) {
            Some(actions) => actions.remove(action).await,
            None => Ok(()),
        }
    }

    /// Keeps that a run of a pipeline found the results of these actions, for whoever reads the store alone.
    async fn found(&self, _scope: &Scope, _pipeline: &str, _actions: &[Digest]) -> Result<(), StoreError> {
        Ok(())
    }

    /// Where is kept what no garbage collection takes, if there is such a place.
    fn kept(&self) -> Option<KeptRecords> {
        None
    }
}

/// What runs of a scope see.
#[derive(Debug, Clone)]
pub struct ScopeResults {
    /// Only complete ones are hits.
    pub actions: Arc<dyn ActionCache>,
    /// What tells complete results from others.
    pub completeness: Arc<CompletenessChecking>,
}

/// Results in a shared cache.
#[derive(Debug)]
pub struct StoredResults {
    /// The cache.
    pub cache: SharedCache,
    /// If there are any, only results that one of these signed are found.
    pub trusted: Option<Vec<PublicKey>>,
}

impl StoredResults {
    fn seen_by(&self, scope: &Scope) -> SharedCache {
        self.cache.trusting(&TrustOptions {
            scope: scope.clone(),
            signing: None,
            usual: None,
            trusted: self.trusted.clone(),
        })
    }
}

#[async_trait]
impl Results for StoredResults {
    fn of(&self, scope: &Scope) -> ScopeResults {
        let SharedCache { actions, completeness, .. } = self.seen_by(scope);
        ScopeResults { actions, completeness }
    }

    async fn evicted(&self, scope: &Scope, action: &Digest) -> Result<Option<SystemTime>, StoreError> {
        self.seen_by(scope).evicted(action).await
    }

    fn only(&self, scope: &Scope) -> Option<Arc<dyn ActionCache>> {
        Some(self.cache.only(scope))
    }

    async fn remove(&self, scope: &Scope, pipeline: &str, action: &Digest) -> Result<(), StoreError> {
        self.cache.only(scope).remove(action).await?;
        match self.seen_by(scope).runs {
            Some(runs) => runs.forget(pipeline, action).await,
            None => Ok(()),
        }
    }

    async fn found(&self, scope: &Scope, pipeline: &str, actions: &[Digest]) -> Result<(), StoreError> {
        let SharedCache { runs, all_actions, .. } = self.seen_by(scope);
        match runs {
            Some(runs) => runs.found(pipeline, actions, &*all_actions).await,
            None => Ok(()),
        }
    }

    fn kept(&self) -> Option<KeptRecords> {
        Some(self.cache.kept.clone())
    }
}

/// Whose results a run reads and writes. What is no scope is submitted by nobody, and its results are nobody's.
pub(crate) fn scope_of(run: &Run) -> Scope {
    run.spec().scope.parse().unwrap_or_else(|_| Scope::Quarantine("unknown".to_owned()))
}
