//! The results of a cluster, by whose they are.

use std::fmt::Debug;
use std::sync::Arc;

use cullet_cache::{ActionCache, CompletenessChecking, PublicKey, Scope, SharedCache, TrustOptions};
use cullet_core::Run;

/// The results of a cluster.
pub trait Results: Debug + Send + Sync {
    /// As runs of a scope see them: they read their own and then the protected ones, and write their own.
    fn of(&self, scope: &Scope) -> ScopeResults;
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

impl Results for StoredResults {
    fn of(&self, scope: &Scope) -> ScopeResults {
        let trust = TrustOptions { scope: scope.clone(), signing: None, trusted: self.trusted.clone() };
        let SharedCache { actions, completeness, .. } = self.cache.trusting(&trust);
        ScopeResults { actions, completeness }
    }
}

/// Whose results a run reads and writes. What is no scope is submitted by nobody, and its results are nobody's.
pub(crate) fn scope_of(run: &Run) -> Scope {
    run.spec().scope.parse().unwrap_or_else(|_| Scope::Quarantine("unknown".to_owned()))
}
