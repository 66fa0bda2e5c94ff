//! A worker is done with an attempt.

use super::Transition;
use crate::ending::Ending;
use crate::planted::{self, Bug};
use crate::{AttemptId, AttemptOutcome, Detail, Epoch, StepId, StepPhase, StepStatus};

/// What a worker says of an attempt.
#[derive(Clone, Copy)]
pub(super) struct Report<'a> {
    pub(super) outcome: &'a AttemptOutcome,
    pub(super) duration_ms: u64,
    pub(super) detail: Option<Detail>,
}

impl Report<'_> {
    fn on(self, ending: Ending) -> Ending {
        ending.after(self.duration_ms, self.detail)
    }
}

impl Transition<'_> {
    pub(super) fn attempt_finished(
        &mut self,
        id: StepId,
        attempt: AttemptId,
        epoch: Epoch,
        report: Report<'_>,
    ) {
        let current = self.step(id).is_some_and(|step| {
            step.phase == StepPhase::Running
                && ((step.attempt, step.epoch) == (attempt, epoch) || planted::is(Bug::IgnoreEpoch))
        });
        if !current {
            return self.refuse();
        }
        self.attempt_over(id, report);
    }

    /// For the current attempt of a running step.
    fn attempt_over(&mut self, id: StepId, report: Report<'_>) {
        self.vacate(id);
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        let declared = usize::from(run.step_spec(id.step).outputs);
        let step = &mut run.steps[id.step as usize];
        let stopped = step.stopping.then(|| Ending::cancelled(step.reason.take().unwrap_or_default()));
        match (report.outcome, stopped) {
            (AttemptOutcome::Succeeded { outputs }, stopped) if outputs.len() == declared => {
                let result = report.on(Ending::executed(outputs.clone()));
                self.learn(id, report.duration_ms);
                self.share(id, &result);
                self.finish(id, stopped.map_or(result, |stopped| report.on(stopped)));
            }
            (_, Some(stopped)) => self.finish(id, report.on(stopped)),
            (AttemptOutcome::Succeeded { outputs }, None) => {
                let reason = format!("the worker reported {} outputs of {declared}", outputs.len());
                self.failed_by_machine(id, report.on(Ending::infra(reason)));
            }
            (AttemptOutcome::Failed { exit_code }, None) => {
                self.failed_by_itself(id, report.on(Ending::failed(*exit_code)));
            }
            (AttemptOutcome::TimedOut, None) => self.failed_by_itself(id, report.on(Ending::timed_out())),
            (AttemptOutcome::Cancelled, None) => {
                self.failed_by_machine(id, report.on(Ending::infra("the worker stopped it untold")));
            }
            (AttemptOutcome::Infra { reason }, None) => {
                self.failed_by_machine(id, report.on(Ending::infra(reason.clone())));
            }
            (AttemptOutcome::InputLost { inputs }, None) => self.input_lost(id, inputs),
            (AttemptOutcome::Impossible { reason }, None) => {
                self.finish(id, report.on(Ending::infra(reason.clone())));
            }
        }
        self.write_attempt(id, Some(report));
    }

    fn learn(&mut self, id: StepId, took_ms: u64) {
        // An operation has no chain of steps behind it, and its name comes once.
        let Some(run) = self.state.runs.get(&id.run).filter(|run| !run.spec.operation) else { return };
        let (pipeline, step) = (&run.spec.pipeline, &run.step_spec(id.step).name);
        self.state.durations.learn(pipeline, step, took_ms, self.state.settings.max_durations);
    }

    fn failed_by_itself(&mut self, id: StepId, ending: Ending) {
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        let allowed = run.step_spec(id.step).retry_failure;
        // What acts on the outside world may have acted, however it failed.
        let again = !run.step_spec(id.step).effects;
        let step = &mut run.steps[id.step as usize];
        step.failures = step.failures.saturating_add(1);
        if again && may_retry(step.failures, allowed) {
            step.reason = Some(ending.describe().into());
            return self.make_ready(id);
        }
        self.share(id, &ending);
        self.finish(id, ending);
    }

    fn failed_by_machine(&mut self, id: StepId, ending: Ending) {
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        let allowed = run.step_spec(id.step).retry_infra;
        let again = !run.step_spec(id.step).effects;
        let step = &mut run.steps[id.step as usize];
        step.infra_failures = step.infra_failures.saturating_add(1);
        if again && may_retry(step.infra_failures, allowed) {
            step.reason = ending.reason;
            if let Some(name) = self.state.workers.view(step.worker).map(|worker| worker.spec.name.clone()) {
                self.shun(id, &name);
            }
            return self.make_ready(id);
        }
        self.finish(id, ending);
    }

    /// Gives a leader's result to those that wait for it. After a failure, who may try more often than the
    /// leader did goes on trying, and who has other limits tries for itself.
    fn share(&mut self, id: StepId, result: &Ending) {
        let Some(step) = self.step(id) else { return };
        let failures = step.failures;
        let Some(work) = self.work(id) else { return };
        if !self.state.flights.is_led_by(&work, id) {
            return;
        }
        let mut followers = self.state.flights.disband(&work);
        followers.retain(|follower| {
            let tries_on = result.status.is_failure()
                && (self.has_other_limits(id, follower.id) || self.tries_on(follower.id, failures));
            if !tries_on {
                self.hand_on(follower.id, result);
            }
            tries_on
        });
        self.promote(work, followers);
    }

    /// Gives a result to a step that waited for it. One that declares other outputs, because a client made its action or that of
    /// the result, finds its own in the cache.
    fn hand_on(&mut self, follower: StepId, result: &Ending) {
        let Some(run) = self.state.runs.get(&follower.run) else { return };
        let declared = usize::from(run.step_spec(follower.step).outputs);
        if result.status == StepStatus::Succeeded && declared != result.outputs.len() {
            if declared > 0 {
                return self.await_inputs(follower);
            }
            let without = Ending { outputs: Box::default(), ..result.for_follower() };
            return self.endings.push_back((follower, without));
        }
        self.endings.push_back((follower, result.for_follower()));
    }

    /// Ends those that wait for a leader that must not be started again.
    pub(super) fn share_with_all(&mut self, id: StepId, result: &Ending) {
        let Some(work) = self.work(id) else { return };
        if self.state.flights.is_led_by(&work, id) {
            for follower in self.state.flights.disband(&work) {
                self.hand_on(follower.id, result);
            }
        }
    }

    fn has_other_limits(&self, id: StepId, other: StepId) -> bool {
        let limits = |id: StepId| self.state.runs.get(&id.run).map(|run| run.step_spec(id.step).limits);
        limits(id) != limits(other)
    }

    fn tries_on(&mut self, id: StepId, failures: u8) -> bool {
        let Some(run) = self.state.runs.get_mut(&id.run) else { return false };
        let allowed = run.step_spec(id.step).retry_failure;
        let step = &mut run.steps[id.step as usize];
        step.failures = step.failures.max(failures);
        may_retry(step.failures, allowed)
    }
}

/// After so many failures. The counter stops at its largest value, and so do the retries.
const fn may_retry(failures: u8, allowed: u8) -> bool {
    failures <= allowed && failures < u8::MAX
}
