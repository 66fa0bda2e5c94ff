//! What ready steps wait for.

use std::fmt;

use crate::apply::unplaceable::unplaceable;
use crate::ready::Lack;
use crate::run::Run;
use crate::{State, StepId, StepIndex, StepPhase, TimeMs};

/// What a ready step waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Some worker could run it, but none has room.
    Room,
    /// Room on another worker than the one that failed it.
    OtherMachine {
        /// The one that failed it.
        shunned: Box<str>,
        /// When it may go back there.
        until: TimeMs,
    },
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

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room => f.write_str("waits for room on a worker"),
            Self::OtherMachine { shunned, .. } => {
                write!(f, "waits for room on another worker than {shunned}, which failed it")
            }
            Self::Worker { .. } => f.write_str("waits for a worker: there is none that takes steps"),
            Self::OtherWorker { reason, .. } => write!(f, "waits for another worker: {reason}"),
        }
    }
}

impl State {
    /// The earliest time at which something happens by itself, as soon as a command says that it is so late.
    pub fn next_deadline(&self) -> Option<TimeMs> {
        let stuck = self.ready.stuck().values().map(|stuck| self.settings.deadline(*stuck)).min();
        let shunning = self.workers.shunned.oldest().map(|(since, _)| self.settings.shunned_until(since));
        stuck.into_iter().chain(shunning).min()
    }

    /// What a step waits for, if it is ready.
    pub fn waits_for(&self, id: StepId) -> Option<Wait> {
        let run = self.runs.get(&id.run)?;
        if run.steps.get(id.step as usize)?.phase != StepPhase::Ready {
            return None;
        }
        let demand = run.demand(id.step);
        let Some(stuck) = self.ready.stuck().get(&demand) else {
            return Some(self.waits_elsewhere(run, id.step).unwrap_or(Wait::Room));
        };
        let until = self.settings.deadline(*stuck);
        Some(match stuck.lack {
            Lack::AnyWorker => Wait::Worker { until },
            Lack::AbleWorker => {
                let reason = unplaceable(demand, self.labels.labels(demand.labels), &self.workers);
                Wait::OtherWorker { reason, until }
            }
        })
    }

    /// For another worker than the one that it shuns, if that one is there and would do.
    fn waits_elsewhere(&self, run: &Run, step: StepIndex) -> Option<Wait> {
        let shun = run.shunned.get(&step)?;
        let shunned = self.workers.shunned.name(shun.worker)?;
        let worker = self.workers.named(shunned)?.id;
        let until = self.settings.shunned_until(shun.since);
        let elsewhere = Wait::OtherMachine { shunned: shunned.into(), until };
        self.workers.is_shunned(worker, run.demand(step)).then_some(elsewhere)
    }
}
