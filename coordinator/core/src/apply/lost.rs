//! Outputs that can no longer be read: who made them runs again.

use std::collections::BTreeSet;

use super::Transition;
use crate::ending::Ending;
use crate::journal::RunEventKind;
use crate::run::Run;
use crate::spec::InputSource;
use crate::{Effect, StepId, StepIndex, StepPhase};

/// A blob that is lost once is an accident, lost again right after it was made bad luck; after that the store
/// is broken, and running the step for ever would hide it.
const MAX_REWINDS: u8 = 3;

/// The same for what no step makes: sources and the directories that hold a step's inputs together.
const MAX_REMAKES: u8 = 3;

/// What it takes to read a step's inputs again.
struct Remedy {
    /// Steps to run again.
    producers: BTreeSet<StepId>,
    /// Whether its action is to be made again, which stores its directories.
    remake: bool,
}

impl Transition<'_> {
    /// A resolving or running step could not read some of its inputs (positions in its specification; none for
    /// what holds them together).
    pub(super) fn input_lost(&mut self, id: StepId, inputs: &[u16]) {
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        if !run.steps[id.step as usize].stale {
            match run.remedy(id.step, inputs) {
                Ok(Remedy { producers, remake }) => {
                    let step = &mut run.steps[id.step as usize];
                    step.reason = remake.then(|| "its inputs could not be read from the cache".into());
                    step.remakes += u8::from(remake);
                    self.rewind_all(producers);
                }
                Err(reason) => return self.finish(id, Ending::infra(reason)),
            }
        }
        self.await_inputs(id);
        self.lead_on(id);
    }

    pub(super) fn rewind_all(&mut self, steps: BTreeSet<StepId>) {
        // Ascending, so that one of them that needs another waits for it.
        for id in steps {
            self.rewind(id);
        }
    }

    /// Runs a step again, if it is not about to run anyway.
    fn rewind(&mut self, id: StepId) {
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        if !run.steps[id.step as usize].succeeded() {
            return;
        }
        *run.counter(id.step) -= 1;
        run.unfinished += 1;
        let step = &mut run.steps[id.step as usize];
        step.rewinds += 1;
        step.phase = StepPhase::Waiting;
        step.cached = false;
        step.shared = false;
        step.took_ms = 0;
        run.details.remove(&id.step);
        let dependents = run.graph.dependents(id.step).to_vec();
        self.effects.push(Effect::StepRewound { id });
        self.write(id.run, RunEventKind::StepRewound { step: id.step });
        self.await_inputs(id);
        for dependent in dependents {
            self.producer_rewound(StepId { step: dependent, ..id });
        }
    }

    fn producer_rewound(&mut self, id: StepId) {
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        let step = &mut run.steps[id.step as usize];
        match step.phase {
            StepPhase::Waiting => run.pending[id.step as usize] += 1,
            StepPhase::Ready => {
                self.vacate(id);
                self.await_inputs(id);
                self.lead_on(id);
            }
            StepPhase::Resolving | StepPhase::Running | StepPhase::WaitingForIdentical => step.stale = true,
            StepPhase::Finished(_) => {}
        }
    }
}

impl Run {
    /// What brings these inputs back, or why nothing does.
    fn remedy(&self, step: StepIndex, inputs: &[u16]) -> Result<Remedy, String> {
        let spec = self.step_spec(step);
        let mut remedy = Remedy { producers: BTreeSet::new(), remake: inputs.is_empty() };
        let spent = self.steps[step as usize].remakes >= MAX_REMAKES;
        if remedy.remake && spent {
            return Err(format!("its input root was lost {} times", MAX_REMAKES + 1));
        }
        for &position in inputs {
            let Some(input) = spec.inputs.get(usize::from(position)) else {
                return Err(format!("input {position} could not be read, and there is none"));
            };
            let path = if input.path.is_empty() { "." } else { &*input.path };
            let InputSource::Output { step: producer, .. } = input.source else {
                if spent {
                    return Err(format!("its input '{path}' is a source that can no longer be read"));
                }
                remedy.remake = true;
                continue;
            };
            if self.steps[producer as usize].succeeded()
                && let Some(reason) = self.cannot_rewind(producer)
            {
                return Err(format!("its input '{path}' is lost: {reason}"));
            }
            remedy.producers.insert(self.step_id(producer));
        }
        Ok(remedy)
    }

    /// Why a step that succeeded must not be run again, or nothing.
    pub(super) fn cannot_rewind(&self, step: StepIndex) -> Option<String> {
        let spec = self.step_spec(step);
        if spec.effects {
            return Some(format!("{} acts on the outside world and is not run twice", spec.name));
        }
        (self.steps[step as usize].rewinds >= MAX_REWINDS)
            .then(|| format!("the outputs of {} were lost {} times", spec.name, MAX_REWINDS + 1))
    }
}
