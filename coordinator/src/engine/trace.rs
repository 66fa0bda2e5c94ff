//! Runs and steps as spans. Their numbers are derived from what they are about, and their times are in the state, so
//! whichever coordinator leads when one ends tells it, and what workers tell below it has its parent.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cullet_core::{Run, RunId, RunStatus, StepId, StepStatus, StepView, TimeMs};
use cullet_proto::trace::{Span, TraceContext};

use super::Leading;
use crate::resolve::step_name;
use crate::session::{run_status_name, status_name};

/// The span of a run within its trace. A submitter without one gets a trace whose number is the run's.
fn run_context(run: RunId, submitted: Option<TraceContext>) -> TraceContext {
    let of = submitted.unwrap_or(TraceContext { trace: run.0.max(1), span: 1, sampled: true });
    of.at(number(&[b"run", &run.0.to_le_bytes()]))
}

/// The span of a step. One that is run again because its outputs were lost has another.
fn step_context(run: TraceContext, id: StepId, rewinds: u8) -> TraceContext {
    run.at(number(&[b"step", &id.run.0.to_le_bytes(), &id.step.to_le_bytes(), &[rewinds]]))
}

fn number(parts: &[&[u8]]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first).max(1)
}

fn time(ms: TimeMs) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

/// What an attempt at a step is part of, as `traceparent`.
pub(super) fn traceparent(id: StepId, rewinds: u8, submitted: Option<TraceContext>) -> String {
    step_context(run_context(id.run, submitted), id, rewinds).to_string()
}

impl Leading {
    /// Tells that a step has ended.
    pub(super) fn trace_step(self: &Arc<Self>, id: StepId) {
        if !self.tracer.is_on() {
            return;
        }
        let this = Arc::clone(self);
        self.spawn(async move {
            let Ok(context) = this.context(id.run).await else { return };
            let span = this.read(|state| {
                let run = state.run(id.run)?;
                let context = run_context(id.run, context.submitted);
                let mut span = step_span(run, id, &run.step(id.step)?, context)?;
                let worker = run.step(id.step)?.worker.and_then(|worker| state.worker(worker));
                span.attributes.extend(worker.map(|worker| ("cullet.worker", worker.spec.name.to_string())));
                Some(span)
            });
            if let Some(span) = span {
                this.tracer.tell(span);
            }
        });
    }

    /// Tells that a run has ended, and lets go of what executing it needed.
    pub(super) fn trace_run(self: &Arc<Self>, run: RunId) {
        let this = Arc::clone(self);
        self.spawn(async move {
            if let Ok(context) = this.context(run).await
                && let Some(span) = this.read(|state| run_span(state.run(run)?, context.submitted))
            {
                this.tracer.tell(span);
            }
            this.contexts.end(run);
        });
    }
}

fn step_span(run: &Run, id: StepId, step: &StepView<'_>, of: TraceContext) -> Option<Span> {
    let (status, end) = (step.status()?, step.finished_at?);
    let is_cached = step.cached || step.shared;
    let mut attributes = vec![
        ("cullet.run", id.run.to_string()),
        ("cullet.step", step_name(Some(run), id.step)),
        ("cullet.status", status_name(status).to_owned()),
        ("cullet.cached", is_cached.to_string()),
        ("cullet.attempts", step.attempt.to_string()),
    ];
    attributes.extend(step.action.map(|action| ("cullet.action", action.to_string())));
    let failed = !matches!(status, StepStatus::Succeeded | StepStatus::Skipped);
    let why = || step.reason.map_or_else(|| status_name(status).to_owned(), str::to_owned);
    Some(Span {
        context: step_context(of, id, step.rewinds),
        parent: Some(of.span),
        name: format!("step {}", step_name(Some(run), id.step)),
        // What nobody executed takes no time.
        start: time(step.started_at.filter(|_| !is_cached).unwrap_or(end)),
        end: time(end),
        attributes,
        failure: failed.then(why),
    })
}

fn run_span(run: &Run, submitted: Option<TraceContext>) -> Option<Span> {
    let (status, end) = (run.status()?, run.finished_at()?);
    let (spec, counts) = (run.spec(), run.counts());
    let why = || run.reason().map_or_else(|| run_status_name(status).to_owned(), str::to_owned);
    Some(Span {
        context: run_context(run.id(), submitted),
        parent: submitted.map(|submitted| submitted.span),
        name: "run".to_owned(),
        start: time(run.submitted_at()),
        end: time(end),
        attributes: vec![
            ("cullet.run", run.id().to_string()),
            ("cullet.pipeline", spec.pipeline.to_string()),
            ("cullet.tenant", spec.tenant.to_string()),
            ("cullet.status", run_status_name(status).to_owned()),
            ("cullet.executed", counts.executed.to_string()),
            ("cullet.cached_steps", counts.cached.to_string()),
        ],
        failure: (status != RunStatus::Succeeded).then(why),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_wherever_they_are_made_and_differ_otherwise() {
        let submitted = TraceContext { trace: 7, span: 8, sampled: true };
        let run = run_context(RunId(1), Some(submitted));
        assert_eq!((run.trace, run), (7, run_context(RunId(1), Some(submitted))));
        assert_eq!(run_context(RunId(1), None).trace, 1);
        let step = |step, rewinds| step_context(run, StepId { run: RunId(1), step }, rewinds).span;
        let all: std::collections::BTreeSet<u64> = [run.span, step(0, 0), step(1, 0), step(0, 1)].into();
        assert_eq!(all.len(), 4);
        let unsampled = TraceContext { sampled: false, ..submitted };
        assert!(!run_context(RunId(1), Some(unsampled)).sampled);
    }
}
