//! What ready steps wait for.

use crate::apply::unplaceable::unplaceable;
use crate::{State, StepId, StepPhase, TimeMs};

/// What a ready step waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Some worker could run it, but none has room that it may go to: not to the one that failed it while another could
    /// ever run it.
    Room,
    /// Any worker: there is none that takes steps.
    Worker,
    /// Another worker: none there is could ever run the step.
    OtherWorker {
        /// What they lack, for people.
        reason: String,
        /// When the step fails.
        until: TimeMs,
    },
}

impl State {
    /// The earliest time at which something happens by itself, as soon as a command says that it is so late.
    pub fn next_deadline(&self) -> Option<TimeMs> {
        let since = self.ready.stuck().values().min()?;
        Some(since.saturating_add(self.settings.placement_grace_ms))
    }

    /// What a step waits for, if it is ready.
    pub fn waits_for(&self, id: StepId) -> Option<Wait> {
        let run = self.runs.get(&id.run)?;
        if run.steps.get(id.step as usize)?.phase != StepPhase::Ready {
            return None;
        }
        let demand = run.demand(id.step);
        if !self.workers.any() {
            return Some(Wait::Worker);
        }
        let Some(since) = self.ready.stuck().get(&demand) else { return Some(Wait::Room) };
        let reason = unplaceable(demand, self.labels.labels(demand.labels), &self.workers);
        Some(Wait::OtherWorker { reason, until: since.saturating_add(self.settings.placement_grace_ms) })
    }
}
