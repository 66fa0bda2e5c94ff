//! The cache of one machine: where backends and decorators are put together, and nowhere else.

use std::sync::Arc;
use std::time::SystemTime;

use cullet_digest::Digest;

use crate::disk::{DiskActionCache, DiskStore, GcReport, LiveRun, OpenOptions, Stats, VerifyReport};
use crate::{
    ActionCache, ActionResult, BlobStore, CompletenessChecking, Incomplete, Scope, ScopedActions, StoreError,
    Verifying,
};

/// The cache in a directory, ready for use. Clones share everything.
#[derive(Debug, Clone)]
pub struct LocalCache {
    /// Blobs; what is read is checked.
    pub blobs: Arc<dyn BlobStore>,
    /// Results; only complete ones are hits.
    pub actions: Arc<dyn ActionCache>,
    /// The directory, for what is faster with files than with bytes.
    pub disk: Arc<DiskStore>,
    /// Every result there is, complete or not: to explain, not to reuse.
    pub all_actions: Arc<DiskActionCache>,
    /// The same, and behind them those of scopes that are only read.
    pub seen: Arc<dyn ActionCache>,
    completeness: Arc<CompletenessChecking>,
    /// The same of scopes that are only read.
    behind: Vec<Arc<CompletenessChecking>>,
}

/// Opens the cache in a directory.
///
/// # Errors
/// See [`DiskStore::open`].
pub fn open(options: &OpenOptions) -> Result<LocalCache, StoreError> {
    let disk = Arc::new(DiskStore::open(options)?);
    let blobs: Arc<dyn BlobStore> = Arc::new(Verifying::new(disk.clone(), disk.clone()));
    let all_actions = Arc::new(DiskActionCache::new(&disk));
    let completeness = Arc::new(CompletenessChecking::new(all_actions.clone(), blobs.clone()));
    let (actions, seen) = (completeness.clone(), all_actions.clone());
    Ok(LocalCache { blobs, actions, disk, all_actions, seen, completeness, behind: Vec::new() })
}

impl LocalCache {
    /// The same blobs with the results of a scope: what this machine made in another one is not seen.
    #[must_use]
    pub fn of(&self, scope: &Scope) -> Self {
        let all_actions = Arc::new(self.all_actions.of(scope));
        let completeness = Arc::new(self.completeness.over(all_actions.clone()));
        let (actions, seen) = (completeness.clone(), all_actions.clone());
        Self { actions, all_actions, seen, completeness, behind: Vec::new(), ..self.clone() }
    }

    /// The same blobs with the results of a scope, and behind them the results of this one, which are only read.
    #[must_use]
    pub fn over(&self, scope: &Scope) -> Self {
        let own = self.of(scope);
        let actions = ScopedActions::new(own.actions.clone(), vec![self.actions.clone()]);
        let seen = ScopedActions::new(own.seen.clone(), vec![self.seen.clone()]);
        let behind = self.behind.iter().chain([&self.completeness]).cloned().collect();
        Self { actions: Arc::new(actions), seen: Arc::new(seen), behind, ..own }
    }

    /// The same cache, remembering what is found incomplete for itself.
    pub(crate) fn anew(&self) -> Self {
        let completeness = Arc::new(self.completeness.anew());
        let behind: Vec<_> = self.behind.iter().map(|behind| Arc::new(behind.anew())).collect();
        let read = behind.iter().map(|behind| Arc::clone(behind) as _).collect();
        let actions = Arc::new(ScopedActions::new(completeness.clone(), read));
        Self { actions, completeness, behind, ..self.clone() }
    }

    /// How many blobs are missing of the result of this action, if one was found incomplete in any scope since this was last
    /// asked.
    pub(crate) fn missing_of(&self, action: &Digest) -> Option<usize> {
        let all = std::iter::once(&self.completeness).chain(&self.behind);
        // All are asked, or it would be said the next time.
        all.filter_map(|scope| scope.missing_of(action)).fold(None, |first, missing| first.or(Some(missing)))
    }

    /// Marks what a result names as used, as far as it is here.
    pub(crate) async fn mark(&self, result: &ActionResult) -> Result<(), StoreError> {
        self.completeness.is_complete(result).await.map(drop)
    }

    /// Announces a run: what it uses from now on is not evicted while the guard lives.
    pub fn live_run(&self) -> Result<LiveRun, StoreError> {
        self.disk.live_run()
    }

    /// Results found incomplete since this was last asked.
    pub fn take_incomplete(&self) -> Vec<Incomplete> {
        let mut all = self.completeness.take_incomplete();
        all.extend(self.behind.iter().flat_map(|behind| behind.take_incomplete()));
        all
    }

    /// What the cache holds; looks at every entry.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        self.disk.stats()
    }

    /// Evicts down to `bound` bytes, or to what live runs hold.
    pub fn gc(&self, bound: u64) -> Result<GcReport, StoreError> {
        self.disk.gc(bound)
    }

    /// Evicts if the cache is over its bound; for the end of a run.
    pub fn maybe_gc(&self) -> Result<Option<GcReport>, StoreError> {
        self.disk.maybe_gc()
    }

    /// Reads everything, and with `fix` removes what is damaged or incomplete. `progress` is told the bytes read.
    pub fn verify(&self, fix: bool, progress: &mut dyn FnMut(u64)) -> Result<VerifyReport, StoreError> {
        self.disk.verify(fix, progress)
    }

    /// Empties the cache; see [`DiskStore::clear`].
    pub fn clear(&self, force: bool) -> Result<(), StoreError> {
        self.disk.clear(force)
    }

    /// When the result of an action was evicted, if it is remembered.
    pub fn tombstone(&self, action: &Digest) -> Result<Option<SystemTime>, StoreError> {
        self.disk.tombstone(&self.all_actions.key(action))
    }
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn results_of_a_scope_are_not_seen_in_another_and_are_as_sound() {
        let dir = tempfile::tempdir().unwrap();
        let plain = open(&OpenOptions::new(dir.path())).unwrap();
        let branch = plain.of(&Scope::Branch("x".to_owned()));
        let action = DigestFunction::Blake3.digest(b"action");
        branch.all_actions.put(&action, &conformance::result("branch")).await.unwrap();
        assert_eq!(plain.all_actions.get(&action).await.unwrap(), None);
        plain.all_actions.put(&action, &conformance::result("plain")).await.unwrap();
        let found = branch.all_actions.get(&action).await.unwrap();
        assert_eq!(found, Some(conformance::result("branch")));
        let over = plain.over(&Scope::Quarantine("x".to_owned()));
        for actions in [&over.actions, &over.seen] {
            assert_eq!(actions.get(&action).await.unwrap(), Some(conformance::result("plain")));
        }
        let made = DigestFunction::Blake3.digest(b"made");
        over.actions.put(&made, &conformance::result("over")).await.unwrap();
        assert!(over.actions.get(&made).await.unwrap().is_some());
        assert_eq!(plain.seen.get(&made).await.unwrap(), None);
        let other = plain.of(&Scope::User("x".to_owned()));
        assert_eq!(other.all_actions.get(&action).await.unwrap(), None);
        branch.all_actions.remove(&action).await.unwrap();
        let found = plain.all_actions.get(&action).await.unwrap();
        assert_eq!(found, Some(conformance::result("plain")));
    }
}
