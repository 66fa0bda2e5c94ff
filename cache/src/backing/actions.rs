//! Results of this machine, then those of the shared store.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use cullet_digest::Digest;
use futures_util::{StreamExt as _, stream};

use super::breaker::Breaker;
use super::publisher::Publisher;
use super::recall::Recall;
use crate::{ActionCache, ActionResult, CompletenessChecking, DiskActionCache, LocalCache, StoreError};

/// Results of this machine that are looked for in the store at the end of a run.
const MOST_HITS: usize = 8192;

/// Of those that earlier runs have found there, so many are looked at again: holes in a store come in numbers, and are found
/// without asking for everything each time.
const SAMPLE: usize = 8;

/// Of so many at once.
const QUESTIONS: usize = 32;

/// Hands out what is here or there, and whole in both together. What came from there is recorded here: the next run asks
/// here only.
#[derive(Debug)]
pub(super) struct BackedActions {
    pub(super) disk: Arc<DiskActionCache>,
    /// The same and those that are only read, as far as they are whole here. What is not in one scope may be in the next.
    pub(super) local: LocalCache,
    /// The same, as far as they are whole in both together.
    pub(super) both: Arc<CompletenessChecking>,
    /// For many results of which hardly any will be needed: asking is no use of what they name.
    pub(super) looked_at: Arc<CompletenessChecking>,
    pub(super) shared: CompletenessChecking,
    /// As far as they are whole there, whatever is here.
    pub(super) there: CompletenessChecking,
    /// Whether the store can be asked.
    pub(super) reads: Arc<Breaker>,
    pub(super) gave: Mutex<HashSet<Digest>>,
    /// Results that were whole here, where somebody publishes: they may be from before that was so.
    pub(super) hits: Mutex<Vec<Digest>>,
    pub(super) recall: OnceLock<Arc<Recall>>,
    /// Where results are published.
    pub(super) publisher: Option<Publisher>,
}

impl BackedActions {
    /// How many blobs are missing of a result that was just not found, where that is why.
    pub(super) fn missing_of(&self, action: &Digest) -> Option<usize> {
        let (local, shared) = (self.both.missing_of(action), self.shared.missing_of(action));
        shared.or(local)
    }

    /// Whether the result came from the shared store.
    pub(super) fn gave(&self, action: &Digest) -> bool {
        self.given().contains(action)
    }

    /// Has those of this run's results published that were here before, and are not there, or not whole: blobs may have been
    /// removed there by age, or lost, and who only reads would make them again each time.
    pub(super) async fn publish_hits(&self, publisher: &Publisher) {
        let hits = std::mem::take(&mut *self.hits.lock().unwrap_or_else(PoisonError::into_inner));
        if hits.is_empty() {
            return;
        }
        let listed = match self.recall.get() {
            Some(recall) => recall.listed().await,
            None => HashSet::new(),
        };
        let (mut listed, unlisted): (Vec<Digest>, Vec<Digest>) =
            hits.into_iter().partition(|action| listed.contains(action));
        let mut missing = self.missing_there(unlisted).await;
        fastrand::shuffle(&mut listed);
        let rest = listed.split_off(listed.len().min(SAMPLE));
        let holes = self.missing_there(listed).await;
        // A store in trouble has holes that are none.
        if !holes.is_empty() && self.reads.trouble().is_none() {
            missing.extend(holes);
            missing.extend(self.missing_there(rest).await);
        }
        for action in missing {
            self.found(&action, true);
            publisher.publish_once(&action);
        }
    }

    /// Those of results that were here before which the store does not have whole.
    async fn missing_there(&self, actions: Vec<Digest>) -> Vec<Digest> {
        let asked = actions.into_iter().map(|action| async move {
            // Not those of scopes that are only read here.
            let is_ours = matches!(self.disk.get(&action).await, Ok(Some(_)));
            if !is_ours {
                return None;
            }
            let is_there = matches!(self.there.get(&action).await, Ok(Some(_)));
            (!is_there).then_some(action)
        });
        stream::iter(asked).buffer_unordered(QUESTIONS).filter_map(async |missing| missing).collect().await
    }

    fn found(&self, action: &Digest, is_new: bool) {
        if let Some(recall) = self.recall.get() {
            recall.found(action, is_new);
        }
    }

    fn given(&self) -> MutexGuard<'_, HashSet<Digest>> {
        // Every change is one insertion.
        self.gave.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for BackedActions {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        if let Some(result) = self.local.actions.get(action).await? {
            self.found(action, false);
            if self.publisher.is_some() {
                let mut hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
                if hits.len() < MOST_HITS {
                    hits.push(*action);
                }
            }
            return Ok(Some(result));
        }
        // That is made good, or said of both.
        let is_here = self.local.missing_of(action).is_some();
        let recalled = match self.recall.get() {
            Some(recall) => recall.get(action, &self.looked_at).await,
            None => None,
        };
        let (result, is_new) = match recalled {
            Some(result) => {
                self.local.mark(&result).await?;
                (result, false)
            }
            None => {
                if is_here && let Some(result) = self.both.get(action).await? {
                    self.found(action, false);
                    return Ok(Some(result));
                }
                let Some(result) = self.shared.get(action).await? else { return Ok(None) };
                (result, true)
            }
        };
        let _ = self.both.missing_of(action);
        self.found(action, is_new);
        // A cache that cannot be written, or is full, asks there again the next time.
        if let Err(error) = self.disk.put(action, &result).await {
            tracing::debug!(action = %action.short(), %error, "a shared result is not recorded here");
        }
        self.given().insert(*action);
        Ok(Some(result))
    }

    /// Records it here, and has it published.
    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        self.disk.put(action, result).await?;
        self.found(action, true);
        if let Some(publisher) = &self.publisher {
            publisher.publish(action);
        }
        Ok(())
    }

    /// Removes it here. What others have is not ours to remove.
    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.disk.remove(action).await
    }
}
