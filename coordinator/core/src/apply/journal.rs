//! What is written down while a command is applied.

use super::Transition;
use super::attempt::Report;
use crate::journal::{AttemptEnd, Note, RunEventKind};
use crate::{AttemptId, AttemptOutcome, RunId, StepId, StepIndex, StepPhase, WorkerId};

impl Transition<'_> {
    pub(super) fn note(&mut self, id: RunId, step: Option<StepIndex>, note: &Note) {
        let at = self.at;
        let run = self.state.runs.get_mut(&id);
        let live = run.filter(|run| run.status().is_none());
        let known = |steps: usize| step.is_none_or(|step| (step as usize) < steps);
        if !live.is_some_and(|run| known(run.steps.len()) && run.journal.note(at, step, note)) {
            self.refuse();
        }
    }

    pub(super) fn write(&mut self, run: RunId, kind: RunEventKind) {
        let at = self.at;
        if let Some(run) = self.state.runs.get_mut(&run) {
            run.journal.write(at, kind);
        }
    }

    pub(super) fn write_start(&mut self, id: StepId, attempt: AttemptId, worker: WorkerId) {
        let Some(run) = self.state.runs.get_mut(&id.run).filter(|run| run.journal.is_kept()) else { return };
        let name = self.state.workers.view(worker).map_or("", |worker| &worker.spec.name);
        let worker = run.journal.worker(worker, name);
        run.journal.write(self.at, RunEventKind::StepStarted { step: id.step, attempt, worker });
    }

    /// An attempt is over and its step is not.
    pub(super) fn write_attempt(&mut self, id: StepId, report: Option<Report<'_>>) {
        let Some(run) = self.state.runs.get_mut(&id.run).filter(|run| run.journal.is_kept()) else { return };
        let step = &run.steps[id.step as usize];
        if step.status().is_some() {
            return;
        }
        let exit_code = match report.map(|report| report.outcome) {
            Some(AttemptOutcome::Failed { exit_code }) => Some(*exit_code),
            _ => None,
        };
        let end = Box::new(AttemptEnd {
            attempt: step.attempt,
            exit_code,
            duration_ms: report.map_or(0, |report| report.duration_ms),
            reason: step.reason.clone(),
            detail: report.and_then(|report| report.detail?.blob),
        });
        run.journal.write(self.at, RunEventKind::AttemptFailed { step: id.step, end });
    }

    /// Of the steps that became ready, those that still are found no room.
    pub(super) fn write_queued(&mut self) {
        for id in std::mem::take(&mut self.readied) {
            if self.state.runs.get(&id.run).is_some_and(|run| run.journal.is_kept())
                && self.step(id).is_some_and(|step| step.phase == StepPhase::Ready)
            {
                self.write(id.run, RunEventKind::StepQueued { step: id.step });
            }
        }
    }
}
