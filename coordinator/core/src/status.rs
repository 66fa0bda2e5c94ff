//! How steps and runs end.

use serde::{Deserialize, Serialize};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum StepStatus {
    /// Executed, taken from the cache or from an identical step.
    Succeeded,
    /// It failed by itself.
    Failed,
    /// Somebody cancelled the run, or it was stopped because another step failed.
    Cancelled,
    /// It was not started; the reason says why.
    Skipped,
    /// It ran longer than it may.
    TimedOut,
    /// The machines failed it.
    InfraFailed,
}

impl StepStatus {
    /// Whether this is bad news about the step itself, rather than a consequence of something else.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::InfraFailed)
    }

    /// Ends the sentence "needs X, which ...".
    pub(crate) const fn as_predicate(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "was cancelled",
            Self::Skipped => "was skipped",
            Self::TimedOut => "timed out",
            Self::InfraFailed => "could not be run",
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RunStatus {
    /// Every step succeeded, was skipped by its condition, or was allowed to fail; and everything is delivered.
    Succeeded,
    /// A step failed by itself, or the specification is not valid.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// The machines failed it.
    InfraFailed,
}
