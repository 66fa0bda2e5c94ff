//! A run's outputs were delivered, or turned out to be lost.

use super::Transition;
use crate::run::RunPhase;
use crate::{RunId, RunStatus, StepIndex};

/// As often as a producer is run again: a store that loses more than that is broken, and says so sooner.
const MAX_DELIVERIES: u8 = 4;

impl Transition<'_> {
    pub(super) fn delivered(&mut self, id: RunId, lost: &[StepIndex]) {
        let Some(run) = self.state.runs.get_mut(&id) else { return self.refuse() };
        if run.phase != RunPhase::Delivering {
            return self.refuse();
        }
        if self.end_if_cancelled(id) {
            return;
        }
        if lost.is_empty() {
            return self.end_run(id, RunStatus::Succeeded, None);
        }
        match self.undeliverable(id, lost) {
            Some(reason) => self.end_run(id, RunStatus::InfraFailed, Some(reason)),
            None => self.rewind_for_delivery(id, lost),
        }
    }

    fn undeliverable(&self, id: RunId, lost: &[StepIndex]) -> Option<String> {
        let run = self.state.runs.get(&id)?;
        if run.deliveries >= MAX_DELIVERIES {
            return Some(format!("outputs could not be delivered: they were lost {MAX_DELIVERIES} times"));
        }
        lost.iter().find_map(|&step| {
            if run.steps.get(step as usize).is_none_or(|step| !step.succeeded()) {
                return Some(format!("step {step} has no outputs that could be lost"));
            }
            run.cannot_rewind(step)
        })
    }

    fn rewind_for_delivery(&mut self, id: RunId, lost: &[StepIndex]) {
        if let Some(run) = self.state.runs.get_mut(&id) {
            run.phase = RunPhase::Active;
            let lost = lost.iter().map(|&step| run.step_id(step)).collect();
            self.rewind_all(lost);
        }
    }
}
