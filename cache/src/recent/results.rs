//! Results that were just found, and found complete.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use cullet_digest::Digest;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::MOMENT;
use crate::{ActionCache, ActionResult, LogStream, Scope, StoreError};

/// What was just found, in all scopes; see the [module](super).
#[derive(Debug)]
pub struct RecentResults {
    found: Cache<(u64, Digest), Arc<Found>, BySize>,
    /// Nobody can choose scopes that look alike.
    hasher: RandomState,
    /// Counts what was changed here: what was read before a change is not remembered after it.
    changes: AtomicU64,
}

#[derive(Debug)]
struct Found {
    /// Who may find it.
    scope: Scope,
    result: ActionResult,
    at: Instant,
}

/// Bytes of results in memory, by rule of thumb.
const MOST_BYTES: u64 = 32 << 20;

#[derive(Debug, Clone)]
struct BySize;

impl quick_cache::Weighter<(u64, Digest), Arc<Found>> for BySize {
    fn weight(&self, key: &(u64, Digest), found: &Arc<Found>) -> u64 {
        let ActionResult { outputs, stdout, stderr, interleaving, trees, .. } = &found.result;
        let of_log = |stream: &LogStream| match stream {
            LogStream::Inline(bytes) => bytes.len(),
            LogStream::Blob(_) => 0,
        };
        let of_outputs = outputs.iter().map(|output| size_of_val(output) + output.path.len()).sum::<usize>();
        let of_trees = trees.iter().map(|tree| size_of_val(tree) + tree.0.len()).sum::<usize>();
        let logs = of_log(stdout) + of_log(stderr) + size_of_val(interleaving.as_slice());
        (size_of_val(key) + size_of::<Found>() + of_outputs + of_trees + logs) as u64
    }
}

impl Default for RecentResults {
    fn default() -> Self {
        let found = Cache::with_weighter(MOST_BYTES as usize / 1024, MOST_BYTES, BySize);
        Self { found, hasher: RandomState::default(), changes: AtomicU64::new(0) }
    }
}

impl RecentResults {
    /// Results as a scope sees them, behind this memory.
    pub fn before(self: &Arc<Self>, scope: Scope, inner: Arc<dyn ActionCache>) -> RecentActions {
        let key = self.hasher.hash_one(&scope);
        RecentActions { inner, recent: Arc::clone(self), scope, key }
    }
}

/// The results that a scope sees, of which is remembered what was just found.
#[derive(Debug)]
pub struct RecentActions {
    inner: Arc<dyn ActionCache>,
    recent: Arc<RecentResults>,
    scope: Scope,
    key: u64,
}

impl RecentActions {
    fn recall(&self, action: &Digest) -> Option<ActionResult> {
        let found = self.recent.found.get(&(self.key, *action))?;
        let holds = found.at.elapsed() < MOMENT && found.scope == self.scope;
        holds.then(|| found.result.clone())
    }

    /// The result is another one now, or none. Scopes that read this one learn it in a moment.
    fn changed(&self, action: &Digest) {
        self.recent.changes.fetch_add(1, Ordering::SeqCst);
        self.recent.found.remove(&(self.key, *action));
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for RecentActions {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        if let Some(result) = self.recall(action) {
            return Ok(Some(result));
        }
        let (at, changes) = (Instant::now(), self.recent.changes.load(Ordering::SeqCst));
        let found = self.inner.get(action).await?;
        if let Some(result) = &found
            && self.recent.changes.load(Ordering::SeqCst) == changes
        {
            let found = Found { scope: self.scope.clone(), result: result.clone(), at };
            self.recent.found.insert((self.key, *action), Arc::new(found));
        }
        Ok(found)
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        let put = self.inner.put(action, result).await;
        self.changed(action);
        put
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        let removed = self.inner.remove(action).await;
        self.changed(action);
        removed
    }
}
