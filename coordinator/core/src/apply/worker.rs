//! Workers come, are emptied and go.

use super::Transition;
use crate::{WorkerId, WorkerSpec};

impl Transition<'_> {
    pub(super) fn worker_joined(&mut self, spec: &WorkerSpec) {
        if !spec.is_valid() {
            return self.refuse();
        }
        let known = self.state.workers.named(&spec.name);
        if let Some(other) = known.filter(|known| known.spec.incarnation != spec.incarnation) {
            self.worker_left(other.id, "it was started again");
        }
        let id = self.state.workers.join(spec.clone(), &self.state.labels);
        self.news.grown.insert(id);
        self.news.workers = true;
    }

    /// What it runs it may finish.
    pub(super) fn worker_draining(&mut self, worker: WorkerId) {
        if !self.state.workers.drain(worker) {
            return self.refuse();
        }
        self.news.workers = true;
    }

    pub(super) fn worker_left(&mut self, worker: WorkerId, reason: &str) {
        let Some(left) = self.state.workers.leave(worker) else { return self.refuse() };
        self.news.workers = true;
        for (id, counted) in left.running {
            self.attempt_lost(id, counted, &left.name, reason);
        }
    }
}
