//! A shared store behind the cache of one machine, for a run that can do without it.
//!
//! Results are looked up here and then there. What they name may be in either place, and stays where it is until somebody
//! needs it: a result that is there costs a lookup, and no download. Whatever is wrong with the store is a miss. Every
//! question has a deadline, a store that gives trouble again and again is not asked any more, and of all that one thing is
//! told. Who may write publishes results beside the run.

mod actions;
mod breaker;
mod guarded;
mod looking;
mod publisher;
mod queue;
mod recall;
mod trees;

#[cfg(test)]
mod bad_store;
#[cfg(test)]
mod recall_tests;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::{Digest, TreeRef};
use futures_util::{StreamExt as _, stream};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use self::actions::BackedActions;
use self::breaker::Breaker;
use self::guarded::{BUDGET, Guarded};
use self::looking::Looking;
use self::publisher::Publisher;
use self::queue::Queue;
use self::recall::Recall;
use crate::{
    ActionCache, Blob, BlobStore, CompletenessChecking, LocalCache, MemoryActionCache, MemoryStore, NoPeers,
    Refusals, Refused, Scope, SharedBlobs, SharedCache, SharedRuns, StoreError, TierCounts, Tiers,
    TiersOptions, Verifying,
};

pub use self::breaker::TellTrouble;
pub use self::publisher::Settled;

/// What a machine may do with a shared store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// Nothing is ever changed there.
    #[default]
    Read,
    /// Results of this machine are published.
    Write,
}

/// See the module. As a [`BlobStore`], what can be read here or there; what is read stays here. Clones share everything.
#[derive(Debug, Clone)]
pub struct Backing {
    place: Arc<str>,
    tiers: Tiers,
    reads: Arc<Breaker>,
    writes: Arc<Breaker>,
    /// What pipelines found the last time.
    runs: Option<SharedRuns>,
    refused: Arc<Refusals>,
    actions: Arc<BackedActions>,
    volumes: VolumesBehind,
}

/// The store as it is for cache volumes that machines share. What is read here goes nowhere else: a volume has a place of its
/// own.
#[derive(Debug, Clone)]
pub struct VolumesBehind {
    /// What volumes are made of.
    pub blobs: Arc<dyn BlobStore>,
    /// Which version each has, for whoever asks, with those of the own scope first; written to the own one.
    pub versions: Arc<dyn ActionCache>,
    /// The same of the own scope alone; none where nothing is written.
    pub own: Option<Arc<dyn ActionCache>>,
}

/// How long the next piece of a blob may take to come.
const PIECE: Duration = Duration::from_secs(30);

/// Trees that are fetched at the same time; each fetches many blobs at once.
const TREES: usize = 8;

impl Backing {
    /// Puts a store behind a cache, whose directory is `dir`. A store that could not be opened is one that is never asked.
    /// Results belong to `scope`, here and there. `tell` hears of the first trouble; `runtime` does the work of callers that block, and the publishing.
    ///
    /// # Errors
    /// Where the local disk cannot be written.
    pub fn new(
        (local, dir): (&LocalCache, &Path),
        (place, shared): (&str, Result<SharedCache, StoreError>),
        (access, scope): (Access, &Scope),
        tell: TellTrouble,
        runtime: &Handle,
    ) -> Result<Self, StoreError> {
        let reads = Arc::new(Breaker::new(place, tell));
        // Said at the end, with how much it is about.
        let writes = Arc::new(Breaker::new(place, Arc::new(|_| {})));
        type Results = Arc<dyn ActionCache>;
        type Parts = (Arc<dyn SharedBlobs>, Results, Results, Option<SharedRuns>, Arc<Refusals>);
        let (blobs, results, own, runs, refused): Parts = match shared {
            Ok(shared) => {
                let own = shared.only(scope);
                (shared.objects, shared.all_actions, own, shared.runs, shared.refused)
            }
            Err(error) => {
                reads.break_by(&error);
                writes.break_by(&error);
                let nothing: Results = Arc::new(MemoryActionCache::new(0));
                (Arc::new(MemoryStore::new(0)), nothing.clone(), nothing, None, Arc::default())
            }
        };
        let place: Arc<str> = place.into();
        let may_write = access == Access::Write;
        let shared = Arc::new(Guarded {
            store: blobs,
            reads: Arc::clone(&reads),
            writes: may_write.then(|| Arc::clone(&writes)),
            place: place.to_string(),
            budget: Arc::new(Semaphore::new(BUDGET as usize)),
        });
        let guarded_results = || shared.before(Arc::clone(&results));
        let volumes = VolumesBehind {
            // What is damaged is not there afterwards, for those who may write.
            blobs: Arc::new(Verifying::new(shared.clone(), shared.clone())),
            versions: Arc::new(guarded_results()),
            own: may_write.then(|| Arc::new(shared.before(own)) as Results),
        };
        let options = TiersOptions { shared_deadline: PIECE, ..TiersOptions::default() };
        let disk = local.disk.clone();
        let tiers = Tiers::new(disk, Arc::new(NoPeers), shared.clone(), &options, runtime.clone())?;
        let both: Arc<dyn BlobStore> =
            Arc::new(BackedBlobs { tiers: tiers.clone(), reads: Arc::clone(&reads) });
        let trees = Arc::new(tiers.clone());
        let looking = Arc::new(Looking { disk: local.disk.clone(), shared: volumes.blobs.clone() });
        let disk = local.all_actions.clone();
        let publisher = may_write.then(|| {
            let to = (guarded_results(), Arc::clone(&writes));
            Publisher::start(Queue::of(dir, &place, scope), tiers.clone(), disk.clone(), to, runtime.clone())
        });
        let actions = BackedActions {
            local: local.anew(),
            both: Arc::new(
                CompletenessChecking::new(local.seen.clone(), both.clone()).with_trees(trees.clone()),
            ),
            looked_at: Arc::new(
                CompletenessChecking::new(Arc::new(guarded_results()), looking).with_trees(trees.clone()),
            ),
            shared: CompletenessChecking::new(Arc::new(guarded_results()), both).with_trees(trees),
            there: CompletenessChecking::new(Arc::new(guarded_results()), shared.clone()).with_trees(shared),
            reads: Arc::clone(&reads),
            disk,
            gave: Mutex::default(),
            hits: Mutex::default(),
            recall: OnceLock::new(),
            publisher,
        };
        Ok(Self { place, tiers, reads, writes, runs, refused, actions: Arc::new(actions), volumes })
    }

    /// What to call the store in messages.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Results, here and there.
    pub fn actions(&self) -> Arc<dyn ActionCache> {
        self.actions.clone()
    }

    /// Asks for all that earlier runs of this pipeline found, as soon as something is not here; and who publishes keeps what
    /// this one finds.
    pub fn recall(&self, pipeline: &str, runtime: &Handle) {
        if let Some(runs) = &self.runs {
            let recall = Recall::new(runs.clone(), pipeline, Arc::clone(&self.reads), runtime.clone());
            // Who says it twice means the first.
            let _ = self.actions.recall.set(Arc::new(recall));
        }
    }

    /// How many blobs are missing of the result of an action that was just not found, where that is why. Without the store
    /// it is not known what is missing.
    pub fn missing_of(&self, action: &Digest) -> Option<usize> {
        let missing = self.actions.missing_of(action);
        missing.filter(|_| !self.reads.is_broken())
    }

    /// Whether the result of this action came from the store.
    pub fn gave(&self, action: &Digest) -> bool {
        self.actions.gave(action)
    }

    /// The first trouble that there was with reading from the store.
    pub fn trouble(&self) -> Option<StoreError> {
        self.reads.trouble()
    }

    /// Results of the store that were not believed since this was last asked.
    pub fn take_refused(&self) -> Vec<Refused> {
        self.refused.take()
    }

    /// The store for cache volumes.
    pub fn volumes(&self) -> VolumesBehind {
        self.volumes.clone()
    }

    /// What was moved.
    pub fn counts(&self) -> TierCounts {
        self.tiers.counts()
    }

    /// Results that are not published yet.
    pub fn unpublished(&self) -> usize {
        self.actions.publisher.as_ref().map_or(0, Publisher::waiting)
    }

    /// Waits until all results are published, but not longer than this.
    pub async fn settle(&self, patience: Duration) -> Settled {
        match &self.actions.publisher {
            Some(publisher) => {
                if !patience.is_zero() {
                    self.actions.publish_hits(publisher).await;
                }
                let settled = publisher.settle(patience).await;
                if settled.left == 0
                    && let Some(recall) = self.actions.recall.get()
                    && let Err(error) = recall.keep(&self.actions.disk, &self.writes).await
                {
                    // The next run asks for each of its steps.
                    tracing::warn!(%error, "what this run found is not kept for the next one");
                }
                settled
            }
            None => Settled::default(),
        }
    }

    /// Brings trees to the local disk, as far as they can be had, many at the same time.
    pub async fn prefetch(&self, trees: Vec<TreeRef>) {
        let fetches = trees.into_iter().map(|tree| async move { drop(self.fetch_tree(&tree).await) });
        stream::iter(fetches).buffer_unordered(TREES).collect::<()>().await;
    }

    /// Brings a tree to the local disk.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] and [`StoreError::Mismatch`] where some of it cannot be had, whatever the reason; others are
    /// about the local disk.
    pub async fn fetch_tree(&self, tree: &TreeRef) -> Result<(), StoreError> {
        let fetched = match tree {
            TreeRef::File { digest, .. } => self.tiers.fetch(digest).await,
            TreeRef::Directory(root) => self.tiers.fetch_tree(root).await,
        };
        lost(&self.reads, &tree.digest(), fetched)
    }

    /// Brings a blob to the local disk, for callers that block on threads that are not the runtime's.
    ///
    /// # Errors
    /// As for [`Backing::fetch_tree`].
    pub fn fetch_local(&self, digest: &Digest) -> Result<(), StoreError> {
        lost(&self.reads, digest, self.tiers.fetch_local(digest))
    }
}

/// The store's trouble in the middle of a blob is a blob that is not there. One that is damaged there is told of.
fn lost<T>(reads: &Breaker, digest: &Digest, fetched: Result<T, StoreError>) -> Result<T, StoreError> {
    match fetched {
        Err(error @ (StoreError::Remote { .. } | StoreError::Deadline { .. })) => {
            reads.failed(&error);
            Err(StoreError::NotFound { digest: *digest })
        }
        Err(error @ StoreError::Mismatch { .. }) => {
            reads.tell_once(&error);
            Err(error)
        }
        fetched => fetched,
    }
}

/// The blobs of both. Apart from [`Backing`], which has the results that are checked against them.
#[derive(Debug, Clone)]
struct BackedBlobs {
    tiers: Tiers,
    reads: Arc<Breaker>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for BackedBlobs {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        self.tiers.find_missing(digests).await
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        lost(&self.reads, digest, self.tiers.get(digest).await)
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.tiers.put(digest, blob).await
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        self.tiers.put_small(blobs).await
    }
}

impl Backing {
    /// The blobs of both.
    pub fn blobs(&self) -> Arc<dyn BlobStore> {
        Arc::new(BackedBlobs { tiers: self.tiers.clone(), reads: Arc::clone(&self.reads) })
    }
}
