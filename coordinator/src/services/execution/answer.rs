//! What came of an operation.

use cullet_cache::{ActionResult, Inlined, result_for_clients};
use cullet_core::{Run, StepStatus, TimeMs};
use cullet_digest::Digest;
use cullet_proto::reapi::execution::ExecuteResponse;
use cullet_proto::reapi::storage;
use tonic::Status;

use super::ask::Asking;
use super::missing::{missing, missing_below};
use crate::engine::{Engine, INPUTS_MISSING, scope_of};
use crate::given::GivenAction;
use crate::services::events::read_detail;

/// The result of an action that is in the cache. Trouble with the cache is a miss.
pub(super) async fn cached(engine: &Engine, asked: &Asking, inlined: &Inlined) -> Option<ExecuteResponse> {
    let parts = engine.parts();
    let actions = parts.results.of(&asked.scope).actions;
    let found = actions.get(&asked.action).await.ok()??;
    let result = result_for_clients(&*parts.blobs, &asked.action, &found, inlined).await;
    Some(ExecuteResponse {
        result: Some(result),
        cached_result: true,
        status: Some(storage::Status::default()),
        ..ExecuteResponse::default()
    })
}

/// An operation that has ended, copied out of the state.
#[derive(Debug)]
pub(super) struct Ended {
    status: StepStatus,
    /// Whether it was not executed for this.
    cached: bool,
    reason: String,
    detail: Option<Digest>,
    action: Digest,
    scope: cullet_cache::Scope,
    submitted_at: TimeMs,
}

impl Ended {
    /// What is left of a run at its end; none where it is none of an operation.
    pub(super) fn of(run: &Run, action: Digest) -> Option<Self> {
        run.status()?;
        let step = run.step(0)?;
        Some(Self {
            status: step.status()?,
            cached: step.cached && !step.shared,
            reason: step.reason.or(run.reason()).unwrap_or_default().to_owned(),
            detail: step.detail,
            action,
            scope: scope_of(run),
            submitted_at: run.submitted_at(),
        })
    }

    /// The response of the operation.
    pub(super) async fn response(self, engine: &Engine, inlined: &Inlined) -> ExecuteResponse {
        let (found, reason) = self.result(engine).await;
        let reason = if self.reason.is_empty() { reason } else { self.reason.clone() };
        let status = self.verdict(engine, found.as_ref(), &reason).await;
        let result = match &found {
            Some(found) => {
                Some(result_for_clients(&*engine.parts().blobs, &self.action, found, inlined).await)
            }
            None => None,
        };
        ExecuteResponse { result, cached_result: self.cached, status: Some(status), message: reason }
    }

    /// The result, as far as there is one, and why it is not what it should be.
    async fn result(&self, engine: &Engine) -> (Option<ActionResult>, String) {
        let (mut found, mut reason) = (None, String::new());
        if let Some(detail) = &self.detail {
            match read_detail(&*engine.parts().blobs, detail).await {
                Ok(detail) => {
                    reason = detail.reason;
                    let function = self.action.function();
                    let kept = Some(detail.result).filter(|result| !result.is_empty());
                    found = kept.and_then(|result| ActionResult::decode(function, result).ok());
                }
                Err(error) => tracing::warn!(%error, "the detail of an operation cannot be read"),
            }
        }
        if found.is_none() && self.status == StepStatus::Succeeded {
            let actions = engine.parts().results.of(&self.scope).actions;
            found = actions.get(&self.action).await.ok().flatten();
        }
        if let Some(found) = found.as_mut().filter(|_| !self.cached) {
            found.times.queued_ms = self.submitted_at;
        }
        (found, reason)
    }

    /// Whether the action was executed, whatever it came to; why not.
    async fn verdict(&self, engine: &Engine, found: Option<&ActionResult>, reason: &str) -> storage::Status {
        let status = match (self.status, found) {
            (StepStatus::Succeeded, Some(_)) => return storage::Status::default(),
            (StepStatus::Succeeded, None) => {
                Status::unavailable("its result is no longer there: have it executed again")
            }
            (StepStatus::Failed, Some(found)) if found.exit_code != 0 => return storage::Status::default(),
            (StepStatus::Failed, _) if reason == INPUTS_MISSING => self.missing(engine).await,
            (StepStatus::Failed, _) => Status::failed_precondition(reason),
            (StepStatus::TimedOut, _) => {
                Status::deadline_exceeded(or(reason, "it took longer than its timeout"))
            }
            (StepStatus::Cancelled | StepStatus::Skipped, _) => {
                Status::cancelled(or(reason, "it was cancelled"))
            }
            (StepStatus::InfraFailed, _) => Status::unavailable(reason),
        };
        to_wire(&status)
    }

    /// Which inputs are missing.
    async fn missing(&self, engine: &Engine) -> Status {
        let blobs = &*engine.parts().blobs;
        match GivenAction::read(blobs, self.action).await {
            Ok(given) => missing(&missing_below(blobs, given.action.input_root).await),
            Err(_) => missing(&[self.action]),
        }
    }
}

fn or<'a>(reason: &'a str, usual: &'a str) -> &'a str {
    if reason.is_empty() { usual } else { reason }
}

/// A status in a message, with its details.
pub(super) fn to_wire(status: &Status) -> storage::Status {
    use prost::Message as _;
    // The details of a gRPC status are such a message.
    let detailed = storage::Status::decode(status.details()).unwrap_or_default();
    storage::Status { code: status.code() as i32, message: status.message().to_owned(), ..detailed }
}
