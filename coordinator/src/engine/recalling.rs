//! What runs found, kept in the store for whoever reads it without the cluster: a laptop then asks once, and not for each step
//! after the one before it. No run waits for that, and where it fails only time is lost.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use cullet_cache::Scope;
use cullet_core::{Run, RunId, StepStatus};
use cullet_digest::Digest;
use tokio::sync::Semaphore;

use super::{Leading, scope_of};
use crate::resolve::describe;

/// Runs whose results wait to be kept. Of more of them, later runs tell.
const MOST_WAITING: usize = 256;

/// Pipelines of which is remembered what was kept last.
const MOST_PIPELINES: usize = 1024;

/// Milliseconds of an hour: often enough for the store, which wants to hear once a day of what is in use.
const HOUR: u64 = 3_600_000;

/// What is kept, and what was.
#[derive(Debug)]
pub(super) struct Recalling {
    waiting: Arc<Semaphore>,
    /// One at a time: each reads what is there and writes it anew.
    turn: Semaphore,
    last: Mutex<HashMap<(Scope, Box<str>), u64>>,
}

impl Default for Recalling {
    fn default() -> Self {
        let waiting = Arc::new(Semaphore::new(MOST_WAITING));
        Self { waiting, turn: Semaphore::new(1), last: Mutex::default() }
    }
}

/// What a run found.
struct Found {
    scope: Scope,
    pipeline: Box<str>,
    actions: Vec<Digest>,
}

impl Found {
    fn of(run: &Run) -> Option<Self> {
        let scope = scope_of(run);
        // What is in quarantine is nobody's who could recall it, and operations are of no pipeline.
        if matches!(scope, Scope::Quarantine(_)) || run.spec().operation {
            return None;
        }
        let spec = run.spec();
        let steps = run.steps().zip(spec.steps.iter());
        let kept = steps.filter(|(step, of)| !of.effects && step.status() == Some(StepStatus::Succeeded));
        let actions: Vec<Digest> = kept.filter_map(|(step, _)| step.action).collect();
        (!actions.is_empty()).then(|| Self { scope, pipeline: spec.pipeline.clone(), actions })
    }
}

impl Recalling {
    /// Whether that is another thing than what was found last, in this hour.
    fn is_news(&self, found: &Found, hour: u64) -> bool {
        let mut hasher = DefaultHasher::new();
        (hour, &found.actions).hash(&mut hasher);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= MOST_PIPELINES {
            last.clear();
        }
        let key = (found.scope.clone(), found.pipeline.clone());
        last.insert(key, hasher.finish()) != Some(hasher.finish())
    }

    fn forget(&self, found: &Found) {
        let key = (found.scope.clone(), found.pipeline.clone());
        self.last.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

impl Leading {
    /// Has what a run found kept for those who come later.
    pub(super) fn keep_found(self: &Arc<Self>, run: RunId) {
        let Some(found) = self.read(|state| Found::of(state.run(run)?)) else { return };
        if !self.recalling.is_news(&found, self.now() / HOUR) {
            return;
        }
        let Ok(place) = Arc::clone(&self.recalling.waiting).try_acquire_owned() else {
            self.recalling.forget(&found);
            return;
        };
        let this = Arc::clone(self);
        self.spawn(async move {
            let _place = place;
            // Never closed, so the permit always comes.
            let _turn = this.recalling.turn.acquire().await;
            let Found { scope, pipeline, actions } = &found;
            if let Err(error) = this.parts.results.found(scope, pipeline, actions).await {
                let error = describe(&error);
                tracing::debug!(error, pipeline = &**pipeline, "what a run found is not kept");
                this.recalling.forget(&found);
            }
        });
    }
}
