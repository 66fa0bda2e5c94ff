//! One step of a run: what the state keeps of it and what others see of it.

use std::sync::Arc;

use cullet_digest::{Digest, TreeRef};
use serde::{Deserialize, Serialize};

use crate::{AttemptId, Effect, Epoch, StepId, StepStatus, TimeMs, WorkerId};

/// Where a step is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepPhase {
    /// For steps it depends on.
    Waiting,
    /// Its action is being made and looked up.
    Resolving,
    /// For a worker with room.
    Ready,
    /// On a worker.
    Running,
    /// For another step that has the same action and is ready or running.
    WaitingForIdentical,
    /// At its end. Only a step that succeeded can leave it, when its outputs are lost.
    Finished(StepStatus),
}

/// What there is to know about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepView<'a> {
    /// Where it is.
    pub phase: StepPhase,
    /// The key of its action, once that was made.
    pub action: Option<Digest>,
    /// Its outputs, in the order of their declaration; empty until it succeeded. While it runs again because
    /// they were lost, the lost ones.
    pub outputs: &'a [TreeRef],
    /// Whether its result was there already or came from an identical step.
    pub cached: bool,
    /// Whether its result, good or bad, came from an identical step that was in flight.
    pub shared: bool,
    /// How often it was started; the number of the current or last attempt.
    pub attempt: AttemptId,
    /// The epoch of the current or last attempt; 0 before the first.
    pub epoch: Epoch,
    /// Where the current or last attempt was started.
    pub worker: Option<WorkerId>,
    /// Whether it was told to stop and has not answered yet.
    pub stopping: bool,
    /// Of the last attempt, where it failed.
    pub exit_code: Option<i32>,
    /// When the current or last attempt was started.
    pub started_at: Option<TimeMs>,
    /// When it reached its end.
    pub finished_at: Option<TimeMs>,
    /// Milliseconds of execution that a cached or shared result saved.
    pub saved_ms: u64,
    /// Milliseconds that the last attempt took; 0 where the result is another's.
    pub duration_ms: u64,
    /// What else the worker said of the attempt that made its result, good or bad: a blob whose content is none
    /// of the core's business.
    pub detail: Option<Digest>,
    /// How often it was run again because its outputs were lost.
    pub rewinds: u8,
    /// For people: why it was skipped or stopped, what the machines did, why its action could not be made; of a
    /// step that is tried again, why.
    pub reason: Option<&'a str>,
}

impl StepView<'_> {
    /// How it ended, if it has.
    pub const fn status(&self) -> Option<StepStatus> {
        match self.phase {
            StepPhase::Finished(status) => Some(status),
            _ => None,
        }
    }
}

/// What the state keeps of a step. A run can have a million of them, so every byte counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) phase: StepPhase,
    /// A dependency was run again after this step's action was made: the action may name what is lost.
    pub(crate) stale: bool,
    pub(crate) stopping: bool,
    pub(crate) cached: bool,
    pub(crate) shared: bool,
    pub(crate) failures: u8,
    pub(crate) infra_failures: u8,
    pub(crate) rewinds: u8,
    /// How often its action was made again because its inputs were lost.
    pub(crate) remakes: u8,
    /// Milliseconds that the longest chain of dependents is expected to take that starts here, itself included.
    pub(crate) rank: u32,
    pub(crate) attempt: AttemptId,
    pub(crate) exit_code: Option<i32>,
    pub(crate) epoch: Epoch,
    /// Of the current or last attempt, like `started_at`; without a meaning before the first.
    pub(crate) worker: WorkerId,
    pub(crate) started_at: TimeMs,
    /// Without a meaning before its end.
    pub(crate) finished_at: TimeMs,
    /// Milliseconds that the execution took which made its result, its own or another one.
    pub(crate) took_ms: u64,
    pub(crate) action: Option<Digest>,
    pub(crate) outputs: Box<[TreeRef]>,
    /// Shared with the journal.
    pub(crate) reason: Option<Arc<str>>,
}

impl Step {
    pub(crate) fn new(rank: u32) -> Self {
        Self {
            phase: StepPhase::Waiting,
            stale: false,
            stopping: false,
            cached: false,
            shared: false,
            failures: 0,
            infra_failures: 0,
            rewinds: 0,
            remakes: 0,
            rank,
            attempt: 0,
            exit_code: None,
            epoch: 0,
            worker: WorkerId(0),
            started_at: 0,
            finished_at: 0,
            took_ms: 0,
            action: None,
            outputs: Box::default(),
            reason: None,
        }
    }

    pub(crate) const fn status(&self) -> Option<StepStatus> {
        match self.phase {
            StepPhase::Finished(status) => Some(status),
            _ => None,
        }
    }

    pub(crate) const fn is_waiting(&self) -> bool {
        matches!(self.phase, StepPhase::Waiting)
    }

    pub(crate) const fn succeeded(&self) -> bool {
        matches!(self.phase, StepPhase::Finished(StepStatus::Succeeded))
    }

    /// What starts the current attempt.
    pub(crate) fn start(&self, id: StepId) -> Option<Effect> {
        let (attempt, epoch, worker) = (self.attempt, self.epoch, self.worker);
        self.action.map(|action| Effect::Start { id, attempt, epoch, worker, action })
    }

    /// What stops the current attempt.
    pub(crate) const fn stop(&self, id: StepId) -> Effect {
        Effect::Stop { id, attempt: self.attempt, epoch: self.epoch, worker: self.worker }
    }

    pub(crate) fn view(&self, detail: Option<Digest>) -> StepView<'_> {
        let started = self.attempt > 0;
        StepView {
            phase: self.phase,
            action: self.action,
            outputs: &self.outputs,
            cached: self.cached,
            shared: self.shared,
            attempt: self.attempt,
            epoch: self.epoch,
            worker: started.then_some(self.worker),
            stopping: self.stopping,
            exit_code: self.exit_code,
            started_at: started.then_some(self.started_at),
            finished_at: self.status().map(|_| self.finished_at),
            saved_ms: if self.cached { self.took_ms } else { 0 },
            duration_ms: if self.cached { 0 } else { self.took_ms },
            detail,
            rewinds: self.rewinds,
            reason: self.reason.as_deref(),
        }
    }
}
