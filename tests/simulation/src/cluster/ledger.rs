//! What really happened, as an onlooker sees it who sees everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cullet_cache::{CompletenessChecking, MemoryActionCache, MemoryStore, Scope, ScopedActions};
use cullet_coordinator::engine::{Results, ScopeResults};
use cullet_tests::calls::Call;

/// Everything that an onlooker wrote down.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// Workers on which each step began to run.
    pub(crate) executions: BTreeMap<String, Vec<String>>,
    /// Of each step, whether its last execution so far is over.
    pub(crate) over: BTreeMap<String, bool>,
    /// Steps that began since somebody looked.
    pub(crate) begun: Vec<String>,
    /// Calls of clients, in the order of their ends.
    pub(crate) calls: Vec<Call>,
    /// The ids of runs by request, as coordinators said.
    pub(crate) runs: BTreeMap<u64, String>,
    /// Requests so far.
    pub(crate) requests: u64,
    /// Lines for the trace since somebody looked.
    pub(crate) lines: Vec<String>,
    /// Nobody submits or cancels any more.
    pub(crate) closed: bool,
}

/// Shared by all hosts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Pages>>);

impl Ledger {
    pub(crate) fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Milliseconds of simulated time, on some host.
pub(crate) fn now() -> u64 {
    turmoil::sim_elapsed().map_or(0, |at| at.as_millis() as u64)
}

/// The store that all machines share. It does not fail here.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) blobs: Arc<MemoryStore>,
    actions: Arc<Mutex<BTreeMap<Scope, Arc<MemoryActionCache>>>>,
}

impl Default for Store {
    fn default() -> Self {
        let blobs = Arc::new(MemoryStore::new(1 << 28));
        Self { blobs, actions: Arc::default() }
    }
}

impl Results for Store {
    fn of(&self, scope: &Scope) -> ScopeResults {
        let mut scopes = self.actions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of = |scope: Scope| {
            let empty = || Arc::new(MemoryActionCache::new(1 << 16));
            Arc::clone(scopes.entry(scope).or_insert_with(empty))
        };
        let seen = ScopedActions::new(of(scope.clone()), vec![of(Scope::Protected)]);
        let completeness = Arc::new(CompletenessChecking::new(Arc::new(seen), self.blobs.clone()));
        ScopeResults { actions: completeness.clone(), completeness }
    }
}
