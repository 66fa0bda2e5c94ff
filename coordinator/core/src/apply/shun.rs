//! A step that a machine failed is tried on another one.

use super::Transition;
use crate::StepId;

impl Transition<'_> {
    /// Has the next attempt of the step avoid the worker of this name. Not for a step that is ready: it stands in
    /// line with those that go where it goes.
    pub(super) fn shun(&mut self, id: StepId, worker: &str) {
        self.shun_nobody(id);
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        if let Some(shunned) = self.state.workers.shunned.enter(worker) {
            run.shunned.insert(id.step, shunned);
        }
    }

    /// The next attempt is made, or there is none. Not for a step that is ready either.
    pub(super) fn shun_nobody(&mut self, id: StepId) {
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        if let Some(shunned) = run.shunned.remove(&id.step) {
            self.state.workers.shunned.leave(shunned);
        }
    }
}
