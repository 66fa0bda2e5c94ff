//! A step reaches its end, and what follows from that.

use super::Transition;
use crate::ending::Ending;
use crate::planted::{self, Bug};
use crate::run::Run;
use crate::{Effect, RunId, StepId, StepIndex, StepPhase, StepStatus};

impl Transition<'_> {
    /// Ends a step, unless it is at its end already.
    pub(super) fn finish(&mut self, id: StepId, ending: Ending) {
        if self.step(id).is_none_or(|step| step.status().is_some()) {
            return;
        }
        self.vacate(id);
        self.shun_nobody(id);
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        let status = ending.status;
        run.record(id.step, ending, self.at);
        self.effects.push(Effect::StepFinished { id });
        let fails_run = status.is_failure() && !run.step_spec(id.step).allow_failure;
        if status == StepStatus::Succeeded || planted::is(Bug::StartEarly) {
            self.unlock(id);
        } else if !run.halted && fails_run && !run.spec.keep_going {
            let name = &run.step_spec(id.step).name;
            let (skipped, stopped) =
                (format!("not started: {name} failed"), format!("stopped: {name} failed"));
            self.halt(id.run, &Ending::skipped(skipped), &stopped);
        } else if !run.halted {
            self.skip_dependents(id);
        }
        self.lead_on(id);
        self.conclude(id.run);
    }

    fn unlock(&mut self, id: StepId) {
        let Some(Run { pending, graph, .. }) = self.state.runs.get_mut(&id.run) else { return };
        let mut opened = Vec::new();
        for &dependent in graph.dependents(id.step) {
            let left = &mut pending[dependent as usize];
            if *left > 0 {
                *left -= 1;
                if *left == 0 {
                    opened.push(dependent);
                }
            }
        }
        for step in opened {
            self.resolve(StepId { step, ..id });
        }
    }

    fn skip_dependents(&mut self, id: StepId) {
        let Some(run) = self.state.runs.get(&id.run) else { return };
        let reason = run.needs_reason(id.step);
        for &dependent in run.graph.dependents(id.step) {
            if run.steps[dependent as usize].phase == StepPhase::Waiting {
                self.endings.push_back((run.step_id(dependent), Ending::skipped(reason.clone())));
            }
        }
    }

    /// Ends every step of a run that has not started, in order, and tells the running ones to stop. What
    /// depends on something that ended badly says so; the rest ends like `others`.
    pub(super) fn halt(&mut self, id: RunId, others: &Ending, stopped: &str) {
        let Some(run) = self.state.runs.get_mut(&id) else { return };
        run.halted = true;
        for step in 0..run.steps.len() as StepIndex {
            let Some(run) = self.state.runs.get_mut(&id) else { return };
            match run.steps[step as usize].phase {
                StepPhase::Finished(_) => {}
                StepPhase::Running => self.stop(StepId { run: id, step }, stopped),
                _ if others.status == StepStatus::Cancelled => {
                    self.finish(StepId { run: id, step }, others.clone());
                }
                _ => {
                    let lost = run.missing(step).1.map(|producer| run.needs_reason(producer));
                    let ending = lost.map_or_else(|| others.clone(), Ending::skipped);
                    self.finish(StepId { run: id, step }, ending);
                }
            }
        }
    }

    fn stop(&mut self, id: StepId, reason: &str) {
        let Some(step) = self.step(id) else { return };
        if step.stopping {
            return;
        }
        step.stopping = true;
        step.reason = Some(reason.into());
        let stop = step.stop(id);
        self.effects.push(stop);
    }
}
