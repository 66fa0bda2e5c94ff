//! What ready steps wait for.

use crate::apply::unplaceable::unplaceable;
use crate::ready::Lack;
use crate::{State, StepId, StepPhase, TimeMs};

/// What a ready step waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Some worker could run it, but none has room that it may go to: not to the one that failed it while another could
    /// ever run it.
    Room,
    /// Any worker: there is none that takes steps.
    Worker {
        /// When the step fails.
        until: TimeMs,
    },
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
        self.ready.stuck().values().map(|stuck| self.settings.deadline(*stuck)).min()
    }

    /// What a step waits for, if it is ready.
    pub fn waits_for(&self, id: StepId) -> Option<Wait> {
        let run = self.runs.get(&id.run)?;
        if run.steps.get(id.step as usize)?.phase != StepPhase::Ready {
            return None;
        }
        let demand = run.demand(id.step);
        let Some(stuck) = self.ready.stuck().get(&demand) else { return Some(Wait::Room) };
        let until = self.settings.deadline(*stuck);
        Some(match stuck.lack {
            Lack::AnyWorker => Wait::Worker { until },
            Lack::AbleWorker => {
                let reason = unplaceable(demand, self.labels.labels(demand.labels), &self.workers);
                Wait::OtherWorker { reason, until }
            }
        })
    }
}
