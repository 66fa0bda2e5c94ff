//! Where the log of an attempt is.

use cullet_cache::Scope;
use cullet_core::{AttemptId, Run, RunEventKind, State, StepIndex, StepPhase, StepView};
use cullet_digest::{Digest, DigestFunction};
use cullet_proto::v1;
use tonic::Status;

use crate::attempts::AttemptKey;
use crate::engine::{FUNCTION, scope_of};

/// Which attempt is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) step: StepIndex,
    /// None for the newest.
    pub(super) attempt: Option<AttemptId>,
    /// One that has not begun is waited for.
    pub(super) follow: bool,
}

/// Where its log is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// It has not begun.
    NotYet,
    /// On a worker; none where that is not known any more.
    Worker { key: AttemptKey, address: Option<String> },
    /// In the store, where blobs have digests of this function.
    Store { kept: Kept, function: DigestFunction },
}

/// What is left of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// What was kept of the attempt itself.
    pub(super) detail: Option<Digest>,
    /// Else, the result under this key, as runs of the scope find it.
    pub(super) action: Option<(Scope, Digest)>,
}

impl Kept {
    fn of(run: &Run, detail: Option<Digest>, action: Option<(Scope, Digest)>) -> Place {
        // Clients choose the function of their actions. Of an operation, the submission is its action.
        let given = run.spec().submission.filter(|_| run.spec().operation);
        let function = given.map_or(FUNCTION, |action| action.function());
        Place::Store { kept: Self { detail, action }, function }
    }
}

/// Which step of a run a request means.
pub(super) fn wanted(run: &Run, request: &v1::ReadLogRequest) -> Result<Wanted, Status> {
    let step = run.spec().steps.iter().position(|step| *step.name == *request.step);
    let step = step.ok_or_else(|| Status::not_found(format!("the run has no step '{}'", request.step)))?;
    let attempt = Some(request.attempt).filter(|attempt| *attempt != 0);
    Ok(Wanted { step: step as StepIndex, attempt, follow: request.follow })
}

/// Where the log is now.
pub(super) fn place(state: &State, run: &Run, wanted: Wanted) -> Result<Place, Status> {
    let step = run.step(wanted.step).ok_or_else(|| Status::not_found("the run has no such step"))?;
    let attempt = wanted.attempt.unwrap_or(step.attempt);
    if attempt < step.attempt {
        return earlier(run, wanted.step, attempt);
    }
    let is_current = attempt == step.attempt;
    match step.phase {
        StepPhase::Running if is_current => {
            let id = cullet_core::StepId { run: run.id(), step: wanted.step };
            let key = AttemptKey { id, attempt, epoch: step.epoch };
            let worker = step.worker.and_then(|worker| state.worker(worker));
            let address = worker.map(|worker| worker.spec.address.to_string());
            Ok(Place::Worker { key, address: address.filter(|address| !address.is_empty()) })
        }
        StepPhase::Finished(_) if is_current && (step.attempt > 0 || step.cached || step.shared) => {
            let action = step.action.map(|action| (scope_of(run), action));
            Ok(Kept::of(run, step.detail, action))
        }
        StepPhase::Finished(_) if step.attempt > 0 => Err(never_was(&step, attempt)),
        StepPhase::Finished(status) => {
            let how = super::summary::step_status(status);
            Err(Status::not_found(format!("the step printed nothing: it never ran ({how})")))
        }
        _ if is_current && wanted.attempt.is_some() => earlier(run, wanted.step, attempt),
        _ if !wanted.follow && wanted.attempt.is_some() => Err(never_was(&step, attempt)),
        _ => Ok(Place::NotYet),
    }
}

/// There is no such attempt: which there are.
fn never_was(step: &StepView<'_>, attempt: AttemptId) -> Status {
    let has = if step.status().is_some() { "had" } else { "has so far" };
    let those = match step.attempt {
        0 => "none".to_owned(),
        1 => "attempt 1".to_owned(),
        last => format!("attempts 1 to {last}"),
    };
    Status::not_found(format!("there is no attempt {attempt}: the step {has} {those}"))
}

/// An attempt that came to nothing, and the step went on.
fn earlier(run: &Run, step: StepIndex, attempt: AttemptId) -> Result<Place, Status> {
    let ended = run.events(0).find_map(|(_, event)| match &event.kind {
        RunEventKind::AttemptFailed { step: of, end } if *of == step && end.attempt == attempt => {
            Some(end.detail)
        }
        _ => None,
    });
    match ended {
        Some(detail) => Ok(Kept::of(run, detail, None)),
        None => Err(Status::not_found(format!("nothing is known of attempt {attempt}"))),
    }
}
