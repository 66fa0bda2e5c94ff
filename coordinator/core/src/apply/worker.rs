//! A worker is gone.

use super::Transition;
use crate::{AttemptOutcome, WorkerId};

impl Transition<'_> {
    pub(super) fn worker_left(&mut self, worker: WorkerId) {
        let Some(running) = self.state.workers.leave(worker) else { return self.refuse() };
        let outcome = AttemptOutcome::Infra { reason: format!("worker {} was lost", worker.0).into() };
        for id in running {
            self.attempt_over(id, &outcome);
        }
    }
}
