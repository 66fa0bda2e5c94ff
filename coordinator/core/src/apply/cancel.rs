//! Somebody wants a run to end.

use super::Transition;
use crate::ending::Ending;
use crate::planted::{self, Bug};
use crate::run::RunPhase;
use crate::{RunId, RunStatus};

const REASON: &str = "the run was cancelled";

impl Transition<'_> {
    /// Whoever delivers or runs something still answers, and only then the run is at its end.
    pub(super) fn cancel(&mut self, id: RunId) {
        let Some(run) = self.state.runs.get_mut(&id) else { return self.refuse() };
        if run.cancelled || run.status().is_some() {
            return self.refuse();
        }
        run.cancelled = !planted::is(Bug::LoseCancel);
        self.halt(id, &Ending::cancelled(REASON), REASON);
    }

    /// Whether the run was cancelled while its outputs were delivered, which ends it.
    pub(super) fn end_if_cancelled(&mut self, id: RunId) -> bool {
        let cancelled =
            self.state.runs.get(&id).is_some_and(|run| run.cancelled && run.phase == RunPhase::Delivering);
        if cancelled {
            self.end_run(id, RunStatus::Cancelled, None);
        }
        cancelled
    }
}
