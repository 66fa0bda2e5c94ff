//! A step's action was made and looked up.

use super::Transition;
use crate::ending::Ending;
use crate::run::Run;
use crate::{Resolution, StepId, StepIndex, StepPhase};

impl Transition<'_> {
    pub(super) fn resolved(&mut self, id: StepId, resolution: &Resolution) {
        let Some(run) = self.state.runs.get_mut(&id.run) else { return self.refuse() };
        let Some(step) = run.steps.get(id.step as usize) else { return self.refuse() };
        if step.phase != StepPhase::Resolving {
            return self.refuse();
        }
        // A hit that may not be used, or that does not have what the step declares, is a miss.
        let usable = |outputs: &[_]| {
            outputs.len() == usize::from(run.step_spec(id.step).outputs) && !run.bypasses_cache(id.step)
        };
        match resolution {
            Resolution::Hit { action, outputs, saved_ms } if usable(outputs) => {
                run.steps[id.step as usize].action = Some(*action);
                self.finish(id, Ending::hit(outputs.clone(), *saved_ms));
            }
            Resolution::Hit { action, .. } | Resolution::Miss { action, .. } => {
                run.steps[id.step as usize].action = Some(*action);
                run.stay_near(id.step, resolution);
                match run.left_by_identical(id.step, action) {
                    Some(ending) => self.finish(id, ending),
                    None => self.make_ready(id),
                }
            }
            Resolution::InputLost { inputs } => self.input_lost(id, inputs),
            Resolution::Impossible { reason } => self.finish(id, Ending::impossible(reason.clone())),
            Resolution::Trouble { reason } => self.finish(id, Ending::infra(reason.clone())),
        }
    }
}

/// Workers that are remembered for a step. With eight candidates one has room more often than not.
const NEAR: usize = 8;

impl Run {
    /// Remembers who holds a step's inputs.
    fn stay_near(&mut self, step: StepIndex, resolution: &Resolution) {
        match resolution {
            Resolution::Miss { near, .. } if !near.is_empty() => {
                self.near.insert(step, near.iter().take(NEAR).copied().collect());
            }
            _ => drop(self.near.remove(&step)),
        }
    }
}
