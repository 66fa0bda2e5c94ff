//! Runs and steps as they are told.

use cullet_cache::v1::digest_to_wire;
use cullet_core::{Run, RunId, RunStatus, State, StepPhase, StepStatus, StepView};
use cullet_proto::v1;

pub(super) const fn step_status(status: StepStatus) -> &'static str {
    crate::session::status_name(status)
}

const fn run_status(status: Option<RunStatus>) -> &'static str {
    match status {
        Some(status) => crate::session::run_status_name(status),
        None => "running",
    }
}

pub(super) fn summary(id: RunId, run: &Run) -> v1::RunSummary {
    let (spec, counts) = (run.spec(), run.counts());
    v1::RunSummary {
        run: id.to_string(),
        pipeline: spec.pipeline.to_string(),
        tenant: spec.tenant.to_string(),
        priority: spec.priority.into(),
        status: run_status(run.status()).to_owned(),
        submitted_at_ms: run.submitted_at(),
        finished_at_ms: run.finished_at().unwrap_or(0),
        steps: u32::try_from(spec.steps.len()).unwrap_or(u32::MAX),
        executed: counts.executed,
        cached: counts.cached,
        failed: counts.failed,
        skipped: counts.skipped + counts.cancelled,
        reason: run.reason().unwrap_or_default().to_owned(),
    }
}

/// The steps of a run, in its order.
pub(super) fn steps(state: &State, run: &Run) -> Vec<v1::StepState> {
    let named = run.spec().steps.iter().zip(run.steps());
    named.map(|(spec, view)| step(state, &spec.name, &view)).collect()
}

fn step(state: &State, name: &str, view: &StepView<'_>) -> v1::StepState {
    let status = match view.phase {
        StepPhase::Waiting | StepPhase::WaitingForIdentical => "waiting",
        StepPhase::Resolving => "resolving",
        StepPhase::Ready => "queued",
        StepPhase::Running => "running",
        StepPhase::Finished(status) => step_status(status),
    };
    let worker = view.worker.and_then(|worker| state.worker(worker));
    let exit_code = exit_code(view.status(), view.exit_code);
    v1::StepState {
        name: name.to_owned(),
        status: status.to_owned(),
        cached: view.cached || view.shared,
        action: view.action.as_ref().map(digest_to_wire),
        attempt: view.attempt,
        worker: worker.map(|worker| worker.spec.name.to_string()).unwrap_or_default(),
        exit_code: exit_code.unwrap_or(0),
        has_exit_code: exit_code.is_some(),
        reason: view.reason.unwrap_or_default().to_owned(),
        started_at_ms: view.started_at.unwrap_or(0),
        finished_at_ms: view.finished_at.unwrap_or(0),
    }
}

/// A success has the exit code 0, whoever had it.
pub(super) fn exit_code(status: Option<StepStatus>, known: Option<i32>) -> Option<i32> {
    if status == Some(StepStatus::Succeeded) { Some(0) } else { known }
}
