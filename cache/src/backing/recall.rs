//! What runs of the same pipeline found, asked for in one go: a run that knows nothing would otherwise wait for the store at
//! each step, one after the other.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use cullet_digest::Digest;
use futures_util::{StreamExt as _, stream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use super::breaker::Breaker;
use super::guarded::{LOOKUP, WRITE};
use crate::ActionCache as _;
use crate::shared_runs::is_told;
use crate::{ActionResult, CompletenessChecking, DiskActionCache, Recalled, SharedRuns, StoreError};

/// Results of which is asked at once whether they are whole.
const CHECKS: usize = 64;

/// Results that are checked before anybody asks for them: more are of older states of the pipeline's sources.
const MOST_CHECKED: usize = 2048;

/// Results of one run that are kept.
const MOST_FOUND: usize = 8192;

/// See the module.
pub(super) struct Recall {
    runs: SharedRuns,
    pipeline: String,
    reads: Arc<Breaker>,
    runtime: Handle,
    begin: Once,
    known: Mutex<Known>,
    changes: watch::Sender<u64>,
}

/// What is known so far.
#[derive(Default)]
struct Known {
    /// What earlier runs found; none while that is not known, or could not be read.
    earlier: Option<Vec<Recalled>>,
    /// Those that are whole; none while that is not known.
    results: HashMap<Digest, Option<ActionResult>>,
    /// The list is there, or will not come.
    listed: bool,
    /// What this run found.
    found: Vec<Digest>,
    /// Some of it is not in the list.
    is_new: bool,
}

impl std::fmt::Debug for Recall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recall").field("pipeline", &self.pipeline).finish_non_exhaustive()
    }
}

impl Recall {
    pub(super) fn new(runs: SharedRuns, pipeline: &str, reads: Arc<Breaker>, runtime: Handle) -> Self {
        let (pipeline, known, changes) = (pipeline.to_owned(), Mutex::default(), watch::Sender::default());
        Self { runs, pipeline, reads, runtime, begin: Once::new(), known, changes }
    }

    /// The result, if an earlier run found it and it is whole. The first who asks has everything asked for.
    pub(super) async fn get(
        self: &Arc<Self>,
        action: &Digest,
        whole: &Arc<CompletenessChecking>,
    ) -> Option<ActionResult> {
        let mut changes = self.changes.subscribe();
        self.begin.call_once(|| {
            let (this, whole) = (Arc::clone(self), Arc::clone(whole));
            self.runtime.spawn(async move { this.ask(&whole).await });
        });
        let answer = async {
            loop {
                if let Some(answer) = self.known().answer(action) {
                    return answer;
                }
                if changes.changed().await.is_err() {
                    return None;
                }
            }
        };
        timeout(LOOKUP, answer).await.unwrap_or_default()
    }

    async fn ask(&self, whole: &CompletenessChecking) {
        let earlier = self.earlier().await.ok();
        let checked: Vec<_> = earlier.iter().flatten().take(MOST_CHECKED).cloned().collect();
        {
            let mut known = self.known();
            known.results.extend(checked.iter().map(|line| (line.action, None)));
            (known.earlier, known.listed) = (earlier, true);
        }
        self.changed();
        let checks = checked.into_iter().map(|Recalled { action, result, .. }| async move {
            let is_whole = whole.is_complete(&result).await.unwrap_or_default();
            (action, is_whole.then_some(result))
        });
        let mut checks = stream::iter(checks).buffer_unordered(CHECKS);
        while let Some((action, result)) = checks.next().await {
            let mut known = self.known();
            match result {
                Some(result) => known.results.insert(action, Some(result)),
                None => known.results.remove(&action),
            };
            drop(known);
            self.changed();
        }
    }

    async fn earlier(&self) -> Result<Vec<Recalled>, StoreError> {
        self.reads.ask(LOOKUP, self.runs.recall(&self.pipeline)).await
    }

    /// What earlier runs found, as far as that can be read.
    pub(super) async fn listed(&self) -> HashSet<Digest> {
        let known = { self.known().listed };
        if !known {
            let asked = self.earlier().await.ok();
            let mut known = self.known();
            if !known.listed {
                (known.earlier, known.listed) = (asked, true);
            }
        }
        self.known().earlier.iter().flatten().map(|line| line.action).collect()
    }

    /// The run has this result. `is_new`: it was not recalled.
    pub(super) fn found(&self, action: &Digest, is_new: bool) {
        let mut known = self.known();
        if known.found.len() < MOST_FOUND {
            known.found.push(*action);
        }
        known.is_new |= is_new;
    }

    /// Keeps what this run found for the next one, beside what earlier ones found, unless that is nothing new. Once a day it
    /// is kept all the same, so that the collector of the store sees that it is in use.
    ///
    /// # Errors
    /// Where the store cannot be written, or what earlier runs found cannot be read: it would be lost.
    pub(super) async fn keep(&self, disk: &DiskActionCache, writes: &Breaker) -> Result<(), StoreError> {
        let (found, earlier) = {
            let known = self.known();
            let is_told = known.earlier.as_deref().is_some_and(is_told);
            let has_none = known.earlier.iter().flatten().next().is_none();
            if !known.is_new && (is_told || known.found.is_empty() || has_none) {
                return Ok(());
            }
            (known.found.clone(), known.earlier.clone())
        };
        let earlier = match earlier {
            Some(earlier) => earlier,
            None => self.earlier().await?,
        };
        let mut results = Vec::with_capacity(found.len());
        for action in found {
            if let Some(result) = disk.get(&action).await? {
                results.push(Recalled::now(action, result));
            }
        }
        writes.ask(WRITE, self.runs.keep(&self.pipeline, results, &earlier)).await
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is whole by itself.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// None while it is not known.
    fn answer(&self, action: &Digest) -> Option<Option<ActionResult>> {
        if !self.listed {
            return None;
        }
        match self.results.get(action) {
            None => Some(None),
            Some(result) => result.clone().map(Some),
        }
    }
}
