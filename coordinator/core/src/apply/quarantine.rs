//! Attempts whose worker is gone, and steps that workers do not survive.

use serde::{Deserialize, Serialize};

use super::Transition;
use crate::StepId;
use crate::ending::Ending;
use crate::planted::{self, Bug};

/// Workers that may be lost under one step. One is lost by accident, two by bad luck; the third was lost because
/// of the step, and a fourth would be one more machine that others need.
const MAX_WORKERS: usize = 3;
/// The same worker may come back and be lost again. A machine that does so ten times has other troubles than
/// maintenance.
const MAX_TIMES: u8 = 10;

/// What running a step has cost so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Toll {
    /// Names of workers that were lost while they ran it, each once.
    workers: Vec<Box<str>>,
    times: u8,
}

impl Toll {
    fn add(&mut self, worker: &str) {
        self.times += 1;
        if !self.workers.iter().any(|known| **known == *worker) {
            self.workers.push(worker.into());
        }
    }

    /// Why the step must not be started again, or nothing.
    fn verdict(&self) -> Option<String> {
        let names = self.workers.join(", ");
        if self.workers.len() >= MAX_WORKERS {
            return Some(format!("quarantined: {MAX_WORKERS} workers were lost while running it ({names})"));
        }
        (self.times >= MAX_TIMES)
            .then(|| format!("quarantined: workers were lost {MAX_TIMES} times while running it ({names})"))
    }
}

impl Transition<'_> {
    /// Of a step that counted so much. No failure of the step, so no retry is used up; it goes elsewhere.
    pub(super) fn attempt_lost(&mut self, id: StepId, counted: u64, worker: &str, why: &str) {
        let Some(run) = self.state.runs.get(&id.run) else { return };
        self.give_back(id.run, run.demand(id.step).cpu_millis, counted);
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        let effects = run.step_spec(id.step).effects && !planted::is(Bug::RestartEffects);
        let step = &mut run.steps[id.step as usize];
        if step.stopping {
            let reason = step.reason.take().unwrap_or_default();
            return self.finish(id, Ending::cancelled(reason));
        }
        let lost = format!("worker {worker} was lost: {why}");
        if effects {
            let reason = format!("{lost}; what acts on the outside world is not started twice");
            return self.finish(id, Ending::infra(reason));
        }
        step.reason = Some(lost.into());
        let toll = run.tolls.entry(id.step).or_default();
        toll.add(worker);
        match toll.verdict() {
            Some(reason) => {
                // Whoever waits for the same work would lose workers the same way.
                let ending = Ending::infra(reason);
                self.share_with_all(id, &ending);
                self.finish(id, ending);
            }
            None => {
                self.shun(id, worker);
                self.make_ready(id);
            }
        }
        self.write_attempt(id, None);
    }
}
