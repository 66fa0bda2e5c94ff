//! Runs and steps as they are told.

use cullet_cache::v1::digest_to_wire;
use cullet_core::{Run, RunId, RunStatus, State, StepId, StepPhase, StepStatus, StepView};
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
        scope: spec.scope.to_string(),
    }
}

/// Queued steps of a run that say what they wait for. To find out what a step lacks takes a look at all workers.
const EXPLAINED: usize = 100;

/// The steps of a run, in its order.
pub(super) fn steps(state: &State, run: &Run) -> Vec<v1::StepState> {
    let mut explained = 0;
    let named = (0..).zip(run.spec().steps.iter().zip(run.steps()));
    let told = named.map(|(index, (spec, view))| {
        let mut told = step(state, &spec.name, &view);
        if view.phase == StepPhase::Ready && explained < EXPLAINED {
            explained += 1;
            let waits = state.waits_for(StepId { run: run.id(), step: index });
            told.reason = [view.reason.map(str::to_owned), waits.map(|waits| waits.to_string())]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("; ");
        }
        told
    });
    told.collect()
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cullet_core::spec::{RunSpec, StepSpec};
    use cullet_core::{AttemptOutcome, LogCommand, Resolution, WorkerSpec};
    use cullet_digest::DigestFunction;

    use super::*;
    use crate::testing::lone_step;

    fn reason(state: &State, step: usize) -> String {
        let run = state.run(RunId(1)).expect("a run");
        steps(state, run)[step].reason.clone()
    }

    fn join(state: &mut State, name: &str) {
        let spec = WorkerSpec { name: name.into(), cpu_millis: 1, ..WorkerSpec::default() };
        state.apply(&LogCommand::WorkerJoined { spec, at: 1 });
    }

    #[test]
    fn a_queued_step_says_what_it_waits_for() {
        let mut state = State::default();
        let step = |name: &str| StepSpec { name: name.into(), retry_infra: 1, ..lone_step() };
        let spec = RunSpec { steps: ["a", "b", "c"].map(step).into(), ..RunSpec::default() };
        state.apply(&LogCommand::Submit { run: RunId(1), spec: Arc::new(spec), at: 0 });
        for step in 0..3 {
            let id = StepId { run: RunId(1), step };
            let resolution = Resolution::miss(DigestFunction::Blake3.digest(&step.to_le_bytes()));
            state.apply(&LogCommand::Resolved { id, resolution, at: 0 });
        }
        assert_eq!(reason(&state, 0), "waits for a worker: there is none that takes steps");
        join(&mut state, "w0");
        join(&mut state, "w1");
        let view = state.run(RunId(1)).and_then(|run| run.step(0)).expect("a step");
        let (id, attempt, epoch) = (StepId { run: RunId(1), step: 0 }, view.attempt, view.epoch);
        let (outcome, duration_ms, detail, at) =
            (AttemptOutcome::Infra { reason: "no space".into() }, 1, None, 2);
        state.apply(&LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms, detail, at });
        let said = "no space; waits for room on another worker than w0, which failed it";
        assert_eq!([reason(&state, 0), reason(&state, 2)], [said, ""]);
    }
}
