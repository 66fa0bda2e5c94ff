//! Nobody will ask for a run any more, or there are too many to keep.

use super::Transition;
use crate::{Effect, RunId};

impl Transition<'_> {
    pub(super) fn forget(&mut self, id: RunId) {
        // Nothing of a finished run stands in any line or runs anywhere, so it can be dropped as a whole.
        let finished = self.state.runs.get(&id).filter(|run| run.status().is_some());
        let Some(run) = finished else { return self.refuse() };
        let is_operation = run.spec.operation;
        self.state.retired.remove(&run.spec, run.retired);
        self.state.runs.remove(&id);
        // Names of operations are given out, and never asked for again.
        if !is_operation {
            self.state.forgotten.push(id);
        }
        self.effects.push(Effect::RunForgotten { run: id });
    }

    /// Drops finished runs beyond what is kept.
    pub(super) fn trim(&mut self) {
        while let Some(run) = self.state.retired.excess(&self.state.settings, self.state.applied) {
            self.forget(run);
        }
    }
}
