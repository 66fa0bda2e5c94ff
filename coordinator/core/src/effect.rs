//! What the core wants done. Plain data with ids: effects can be compared, logged and replayed.

use cullet_digest::Digest;
use serde::{Deserialize, Serialize};

use crate::{AttemptId, Epoch, Refusal, RunId, StepId, WorkerId};

/// One thing to do. The shell reads what else it needs from the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// A run is in the state, and stays there until it ended and was forgotten.
    SubmitAccepted {
        /// The run.
        run: RunId,
        /// It was there before, with whatever specification.
        existed: bool,
    },
    /// There is no room for a run, or it was here before and was forgotten. Nothing of it is kept.
    SubmitRefused {
        /// The run.
        run: RunId,
        /// Why.
        reason: Refusal,
        /// Milliseconds after which there might be room; none if there never will be.
        retry_after_ms: Option<u64>,
    },
    /// Make the action of a step whose inputs are all known, look it up unless `bypass_cache`, and answer with
    /// [`crate::LogCommand::Resolved`].
    Resolve {
        /// The step.
        id: StepId,
        /// Do not look it up: an earlier result turned out to be unreadable, or nobody may reuse one.
        bypass_cache: bool,
    },
    /// Start an attempt and answer with [`crate::LogCommand::AttemptFinished`].
    Start {
        /// The step.
        id: StepId,
        /// Which attempt.
        attempt: AttemptId,
        /// To be carried by everything the attempt does.
        epoch: Epoch,
        /// Where.
        worker: WorkerId,
        /// The action's key.
        action: Digest,
    },
    /// Stop an attempt; it still answers.
    Stop {
        /// The step.
        id: StepId,
        /// Which attempt.
        attempt: AttemptId,
        /// The epoch it was started with, so that even a worker that does not know the attempt can answer.
        epoch: Epoch,
        /// Where it runs.
        worker: WorkerId,
    },
    /// A step reached a terminal status, readable in the state. Said again when it is run again after its
    /// outputs were lost.
    StepFinished {
        /// The step.
        id: StepId,
    },
    /// A finished step is run again because its outputs can no longer be read.
    StepRewound {
        /// The step.
        id: StepId,
    },
    /// Write what the submitter wanted and answer with [`crate::LogCommand::Delivered`].
    Deliver {
        /// The run.
        run: RunId,
    },
    /// A run is no longer in the state, but for its id: somebody wanted that, or too many are kept and
    /// its tenant has the most of them.
    RunForgotten {
        /// The run.
        run: RunId,
    },
    /// The run reached a terminal status, readable in the state.
    RunFinished {
        /// The run.
        run: RunId,
    },
}
