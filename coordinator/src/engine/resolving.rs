//! From steps whose inputs are known to their keys, and from keys to results.

use std::sync::Arc;

use cullet_core::{LogCommand, Note, Resolution, RunId, StepId};
use cullet_digest::TreeRef;
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;

use super::backlog::{Batch, OVERDUE, PATIENCE, Patience};
use super::contexts::{Context, SubmissionTrouble, planned};
use super::{LOOKUPS, Leading};
use crate::notes::{self, Said};
use crate::resolve::{Answer, Question, step_name};

/// Why an operation has failed that cannot be executed for want of its inputs.
pub(crate) const INPUTS_MISSING: &str = "inputs of the action are not in the store: upload them first";

/// Lookups of one task at once: they wait for the store, not for each other.
const SIDE_BY_SIDE: usize = 8;

impl Leading {
    /// Looks up whatever is to be looked up; never returns.
    pub(super) async fn look_up(self: &Arc<Self>) {
        let tasks = Arc::new(Semaphore::new(LOOKUPS));
        loop {
            let Ok(permit) = Arc::clone(&tasks).acquire_owned().await else { return };
            let batch = self.backlog.next(LOOKUPS).await;
            let this = Arc::clone(self);
            self.spawn(async move {
                // Where it is late its steps are looked up again, and it must not keep others from it.
                drop(tokio::time::timeout(OVERDUE, this.look_up_batch(batch)).await);
                drop(permit);
            });
        }
    }

    async fn look_up_batch(&self, batch: Batch) {
        let Batch { run, steps } = batch;
        match self.context_of(run).await {
            Ok(context) => {
                let look_up = async |(step, bypass)| {
                    self.look_up_step(&context, StepId { run, step }, bypass).await;
                };
                futures_util::stream::iter(steps).for_each_concurrent(SIDE_BY_SIDE, look_up).await;
            }
            Err(trouble) => {
                let reason = trouble.to_string();
                for (step, bypass) in steps {
                    let id = StepId { run, step };
                    if trouble.is_outage() && self.waits_for_the_store(id, bypass, &reason).await {
                        continue;
                    }
                    let resolution = Resolution::Trouble { reason: reason.clone().into() };
                    self.resolved(id, resolution).await;
                }
            }
        }
    }

    /// What executing a run needs to know.
    ///
    /// # Errors
    /// In a sentence.
    pub(super) async fn context(&self, run: RunId) -> Result<Arc<Context>, String> {
        self.context_of(run).await.map_err(|error| error.to_string())
    }

    async fn context_of(&self, run: RunId) -> Result<Arc<Context>, SubmissionTrouble> {
        self.contexts.get(run, || self.read(|state| planned(state, run))).await
    }

    #[tracing::instrument(name = "step", level = "debug", skip_all, fields(run = %id.run, step = id.step))]
    async fn look_up_step(&self, context: &Context, id: StepId, bypass_cache: bool) {
        let outputs = context.templates.outputs(id.step);
        let asked = self.read(|state| {
            let run = state.run(id.run)?;
            // What acts on the outside world never has a result in the cache.
            let looks = !bypass_cache && !run.spec().steps.get(id.step as usize)?.effects;
            let was_tried = run.step(id.step)?.attempt > 0;
            Some((Question::of(run, id.step, outputs, bypass_cache)?, looks, was_tried))
        });
        // It may be cancelled by now.
        let Some((question, looks, was_tried)) = asked else { return self.backlog.answered(id) };
        let inputs: Vec<TreeRef> = question.inputs.iter().map(|(_, tree)| *tree).collect();
        // No step makes them, and only who gave the action can bring them again.
        if was_tried && context.templates.given().is_some() && self.lacks(&inputs).await {
            return self.resolved(id, Resolution::Impossible { reason: INPUTS_MISSING.into() }).await;
        }
        let Answer { mut resolution, encoded, note, may_pass, .. } = context.resolver.resolve(question).await;
        if let Resolution::Trouble { reason } = &resolution
            && may_pass
            && self.waits_for_the_store(id, bypass_cache, reason).await
        {
            return;
        }
        if looks {
            self.metrics.looked_up(&resolution, note.as_ref());
            if let Resolution::Hit { action, .. } = &resolution {
                self.maybe_audit(context, id, *action, &inputs);
            }
        }
        if let (Resolution::Miss { action, near }, Some(encoded)) = (&mut resolution, encoded) {
            self.actions.insert(*action, Arc::clone(&encoded));
            // Nobody waits for it; it only must not pile up. Whoever gave an action has stored it.
            if context.templates.given().is_none() {
                let _ = self.keep.send(encoded).await;
            }
            *near = self.near(&inputs).await;
        }
        if let Some(note) = note {
            let name = self.read(|state| step_name(state.run(id.run), id.step));
            self.note(id, &notes::of_lookup(&note, &name)).await;
        }
        self.resolved(id, resolution).await;
    }

    async fn resolved(&self, id: StepId, resolution: Resolution) {
        self.backlog.answered(id);
        self.tell(LogCommand::Resolved { id, resolution, at: self.now() }).await;
    }

    /// Whether a step is looked up again later because the store does not do what it is asked. Says so, once a run.
    async fn waits_for_the_store(&self, id: StepId, bypass_cache: bool, why: &str) -> bool {
        let patience = self.backlog.ask_later(id, bypass_cache);
        if patience == Patience::First {
            let name = self.read(|state| step_name(state.run(id.run), id.step));
            self.note(id, &notes::waiting_for_store(&name, PATIENCE, why)).await;
        }
        patience != Patience::Over
    }

    /// Whether something of these trees is missing for certain.
    async fn lacks(&self, inputs: &[TreeRef]) -> bool {
        matches!(self.parts.completeness.is_whole(inputs.iter().copied()).await, Ok(false))
    }

    /// Has something written down in the run, for whoever watches it.
    pub(super) async fn note(&self, id: StepId, said: &Said) {
        let note = Note::Text(said.encode().into());
        self.tell(LogCommand::Noted { run: id.run, step: Some(id.step), note, at: self.now() }).await;
    }
}
