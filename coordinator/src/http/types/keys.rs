//! Keys of a step.

use cullet_proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use super::{digest, time};

/// What is known of a step's keys in earlier runs.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct StepKeys {
    /// Whether its result was not to be looked up.
    no_cache: bool,
    /// From runs of the same pipeline and tenant that were submitted before, as far as the step ended there before it
    /// did here. Of each key its last end, and of the step's own also the last execution that succeeded; newest first.
    earlier: Vec<StepKey>,
    /// What made the result that the step was given; null where the cache did not answer, or has it no more.
    execution: Option<Execution>,
    /// When the result of the step's key was evicted from the store last, where it was executed and that is known.
    evicted_at: Option<String>,
    /// Outputs that differed, where it was an audit that took it away then.
    audited: Vec<String>,
}

/// A key that a step had.
#[derive(Debug, Serialize, ToSchema)]
struct StepKey {
    /// In which run.
    run: String,
    /// The digest of its Action, as `hash/size`: it is in the store, as are its Command and its input root.
    action_digest: Option<String>,
    /// `succeeded`, `failed` or `timed_out`.
    status: String,
    /// Whether nothing was executed for it.
    cached: bool,
    /// RFC 3339 in UTC.
    finished_at: Option<String>,
}

/// An execution whose result the action cache has.
#[derive(Debug, Serialize, ToSchema)]
struct Execution {
    /// RFC 3339 in UTC, by the clock of the machine that executed it.
    started_at: Option<String>,
    /// Milliseconds.
    duration_ms: u64,
}

impl From<v1::ListStepKeysResponse> for StepKeys {
    fn from(keys: v1::ListStepKeysResponse) -> Self {
        let execution = keys.execution.map(|execution| Execution {
            started_at: time(execution.started_at_ms),
            duration_ms: execution.duration_ms,
        });
        let earlier = keys.earlier.into_iter().map(StepKey::from).collect();
        let evicted_at = time(keys.evicted_at_ms);
        Self { no_cache: keys.no_cache, earlier, execution, evicted_at, audited: keys.audited }
    }
}

impl From<v1::StepKey> for StepKey {
    fn from(key: v1::StepKey) -> Self {
        Self {
            run: key.run,
            action_digest: key.action.as_ref().map(digest),
            status: key.status,
            cached: key.cached,
            finished_at: time(key.finished_at_ms),
        }
    }
}
