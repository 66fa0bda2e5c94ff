//! How steps and the run ended, as events.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cullet_core::{RunStatus, StepIndex, StepStatus};

use super::Session;
use crate::driver::Driver;
use crate::event::{Event, RunEnd, StepEnd};

impl<D: Driver> Session<D> {
    pub(super) fn announce_end(&mut self, step: StepIndex) {
        self.actions.remove(&step);
        let ended = self.ended.remove(&step);
        let Some(run) = self.core_run() else { return };
        let (Some(spec), Some(view)) = (run.spec().steps.get(step as usize), run.step(step)) else { return };
        let Some(status) = view.status() else { return };
        let mut end = StepEnd {
            step: spec.name.to_string(),
            status: status_name(status).to_owned(),
            cached: view.cached || view.shared,
            action_digest: view.action.map(|digest| digest.to_string()),
            exit_code: if status == StepStatus::Succeeded { Some(0) } else { view.exit_code },
            reason: view.reason.map(str::to_owned),
            saved_ms: view.saved_ms,
            allow_failure: spec.allow_failure,
            ..StepEnd::default()
        };
        if end.cached && view.cached {
            let action = view.action;
            self.tell_origin(&mut end, action);
        }
        if let Some(ended) = ended {
            end.duration_ms = ended.duration_ms;
            end.exit_code = end.exit_code.or(ended.exit_code);
            end.reason = end.reason.or(ended.reason);
            end.tests = ended.tests;
            end.usage = ended.result.as_ref().map(|result| result.usage.into());
            if !ended.recorded {
                end.result = ended.result.map(|result| STANDARD.encode(result.encode()));
            }
        }
        self.parts.events.event(&Event::StepFinished(end));
    }

    /// How the run ended, if it has.
    pub(super) fn run_end(&self) -> Option<RunEnd> {
        let run = self.core_run()?;
        let status = run.status()?;
        let status = match (status, &self.delivery_error) {
            (RunStatus::Succeeded, Some(_)) => RunStatus::InfraFailed,
            (status, _) => status,
        };
        let counts = run.counts();
        Some(RunEnd {
            run: self.run.to_string(),
            status: run_status_name(status).to_owned(),
            executed: counts.executed,
            cached: counts.cached,
            failed: counts.failed,
            skipped: counts.skipped + counts.cancelled,
            duration_ms: run.finished_at().unwrap_or(0).saturating_sub(run.submitted_at()),
            saved_ms: run.steps().map(|step| step.saved_ms).sum(),
            reason: self.delivery_error.clone().or_else(|| run.reason().map(str::to_owned)),
            shared_cache: None,
        })
    }
}

pub(crate) const fn status_name(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Succeeded => "succeeded",
        StepStatus::Failed => "failed",
        StepStatus::Cancelled => "cancelled",
        StepStatus::Skipped => "skipped",
        StepStatus::TimedOut => "timed_out",
        StepStatus::InfraFailed => "infra_failed",
    }
}

pub(crate) const fn run_status_name(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Succeeded => "succeeded",
        RunStatus::Failed => "failed",
        RunStatus::Cancelled => "cancelled",
        RunStatus::InfraFailed => "infra_failed",
    }
}
