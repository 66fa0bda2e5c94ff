//! What the core waits for: a pure function of the state.

use crate::run::{Run, RunPhase};
use crate::{Effect, State, StepId, StepPhase};

impl State {
    /// Every effect that was not answered so far, by run and step. Whoever takes over from another that performed
    /// effects performs these again. That is safe: an answer counts once, whoever gives it, and an attempt is the
    /// same attempt by its step, number and epoch, so that a worker which runs or ran it does not start it again.
    pub fn outstanding(&self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for run in self.runs.values() {
            match run.phase {
                RunPhase::Finished(_) => {}
                RunPhase::Delivering => effects.push(Effect::Deliver { run: run.id }),
                RunPhase::Active => effects.extend(unanswered(run)),
            }
        }
        effects
    }
}

fn unanswered(run: &Run) -> impl Iterator<Item = Effect> {
    (0..).zip(&run.steps).filter_map(|(index, step)| {
        let id = StepId { run: run.id, step: index };
        match step.phase {
            StepPhase::Resolving => Some(Effect::Resolve { id, bypass_cache: run.bypasses_cache(index) }),
            // One that is to stop is not started first: whoever does not know it says that it was stopped.
            StepPhase::Running if step.stopping => Some(step.stop(id)),
            StepPhase::Running => step.start(id),
            _ => None,
        }
    })
}
