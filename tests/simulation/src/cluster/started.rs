//! What may start, and how often.

use cullet_core::spec::InputSource;
use cullet_core::{RunId, State, StepIndex, StepStatus};

use super::ledger::Pages;
use super::pipeline::{acts, step_name};
use crate::invariants::Broken;

/// A step that began had everything that it needs.
pub(super) fn after_its_dependencies(state: &State, begun: &str, broken: &Broken) {
    let Some((run, step)) = find(state, begun) else { return };
    let Some(run) = state.run(run) else { return };
    let Some(spec) = run.spec().steps.get(step as usize) else { return };
    let inputs = spec.inputs.iter().filter_map(|input| match input.source {
        InputSource::Output { step, .. } => Some(step),
        InputSource::Tree(_) => None,
    });
    for needed in spec.after.iter().copied().chain(inputs) {
        let status = run.step(needed).and_then(|step| step.status());
        broken.check(status == Some(StepStatus::Succeeded), || {
            format!("{begun} began, which needs step {needed}, of which the status is {status:?}")
        });
    }
}

fn find(state: &State, name: &str) -> Option<(RunId, StepIndex)> {
    state.runs().find_map(|(id, run)| {
        let step = run.spec().steps.iter().position(|step| &*step.name == name)?;
        Some((id, StepIndex::try_from(step).ok()?))
    })
}

/// A result is that of the valid attempt, which is the last that began: where another one is recorded, that still runs.
pub(super) fn over_when_recorded(name: &str, pages: &Pages, broken: &Broken) {
    let over = pages.over.get(name).copied().unwrap_or(true);
    broken.check(over, || format!("{name} succeeded, and its valid attempt still runs"));
}

/// A step is executed once, and once more for every mishap of a worker at most; one that acts on the outside world never
/// more than once.
pub(super) fn seldom_enough(seed: u64, pages: &Pages, mishaps: usize, broken: &Broken) {
    for request in 1..=pages.requests {
        for step in 0..4 {
            let name = step_name(request, step);
            let Some(workers) = pages.executions.get(&name) else { continue };
            let most = if acts(seed, request, step) { 1 } else { 1 + mishaps };
            broken.check(workers.len() <= most, || {
                format!("{name} was executed on {workers:?}, which is more often than {most}")
            });
        }
    }
}
