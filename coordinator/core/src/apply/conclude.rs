//! A run reaches its end.

use super::Transition;
use crate::journal::RunEventKind;
use crate::run::RunPhase;
use crate::{Effect, RunId, RunStatus};

impl Transition<'_> {
    /// Ends a run whose steps are all at their end, or has its outputs delivered first.
    pub(super) fn conclude(&mut self, id: RunId) {
        let Some(run) = self.state.runs.get_mut(&id) else { return };
        if run.unfinished > 0 || run.phase != RunPhase::Active {
            return;
        }
        let verdict = run.verdict();
        if verdict == RunStatus::Succeeded && !run.spec.deliver.is_empty() {
            run.phase = RunPhase::Delivering;
            run.deliveries = run.deliveries.saturating_add(1);
            self.effects.push(Effect::Deliver { run: id });
        } else {
            self.end_run(id, verdict, None);
        }
    }

    pub(super) fn end_run(&mut self, id: RunId, status: RunStatus, reason: Option<String>) {
        let Some(run) = self.state.runs.get_mut(&id) else { return };
        if let Some(tenant) = run.tenant.take() {
            self.state.tenants.leave(tenant, run.steps.len() as u64);
        }
        for set in std::mem::take(&mut run.label_sets) {
            if self.state.labels.leave(set) {
                self.state.workers.forget(set);
            }
        }
        run.phase = RunPhase::Finished(status);
        run.finished_at = Some(self.at);
        run.reason = reason.map(Into::into);
        run.journal.write(self.at, RunEventKind::RunFinished { status });
        run.retire();
        self.trims = true;
        let steps = run.spec.steps.len() as u64;
        run.retired = self.state.retired.push(&run.spec, id, steps, self.state.applied);
        self.effects.push(Effect::RunFinished { run: id });
    }
}
