//! How runs and steps end.

use std::collections::BTreeMap;

use cullet_core::{RunId, RunStatus, State, StepStatus};

use crate::invariants::Broken;

/// What was seen of runs and steps so far. An end stays as it is.
#[derive(Default)]
pub(super) struct Ends {
    /// The most that any coordinator had applied.
    applied: u64,
    runs: BTreeMap<RunId, (RunStatus, u64)>,
    steps: BTreeMap<(RunId, usize), StepStatus>,
    /// Steps that succeeded since somebody asked.
    succeeded: Vec<String>,
}

impl Ends {
    /// Looks at a state, unless it is an old one.
    pub(super) fn look(&mut self, now: u64, applied: u64, state: &State, broken: &Broken) {
        if applied <= self.applied {
            return;
        }
        self.applied = applied;
        for (id, run) in state.runs() {
            if let Some(status) = run.status() {
                let (known, _) = *self.runs.entry(id).or_insert((status, now));
                broken
                    .check(known == status, || format!("run {id} ended as {known:?} and is {status:?} now"));
            }
            broken.check(run.status().is_some() || !self.runs.contains_key(&id), || {
                format!("run {id} goes on after its end")
            });
            for (number, step) in run.steps().enumerate() {
                let Some(status) = step.status() else {
                    let ended = self.steps.contains_key(&(id, number));
                    broken.check(!ended, || format!("step {number} of run {id} goes on after its end"));
                    continue;
                };
                let is_new = !self.steps.contains_key(&(id, number));
                if is_new && status == StepStatus::Succeeded {
                    self.succeeded.extend(run.spec().steps.get(number).map(|step| step.name.to_string()));
                }
                let known = *self.steps.entry((id, number)).or_insert(status);
                broken.check(known == status, || {
                    format!("step {number} of run {id} ended as {known:?} and is {status:?} now")
                });
            }
        }
    }

    /// When there was time for everything.
    pub(super) fn at_the_end(state: &State, broken: &Broken) {
        for (id, run) in state.runs() {
            broken.check(run.status().is_some(), || {
                let steps: Vec<_> = run.spec().steps.iter().zip(run.steps()).collect();
                format!("run {id} has not ended: {steps:?}")
            });
        }
        for worker in state.workers() {
            broken.check(worker.used_cpu_millis == 0 && worker.running == 0, || {
                format!("worker {} still has {} steps", worker.spec.name, worker.running)
            });
        }
    }

    /// Steps that succeeded since this was asked.
    pub(super) fn take_succeeded(&mut self) -> Vec<String> {
        std::mem::take(&mut self.succeeded)
    }

    /// When a run had ended, milliseconds.
    pub(super) fn ended_at(&self, run: &str) -> Option<u64> {
        self.runs.iter().find(|(id, _)| id.to_string() == run).map(|(_, (_, at))| *at)
    }

    /// How many runs have ended.
    pub(super) fn count(&self) -> usize {
        self.runs.len()
    }
}
