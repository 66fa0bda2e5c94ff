//! What happens to the core. These are the entries of the log.

use std::sync::Arc;

use cullet_digest::{Digest, TreeRef};
use serde::{Deserialize, Serialize};

use crate::spec::RunSpec;
use crate::{
    AttemptId, Detail, Epoch, Note, RunId, Settings, StepId, StepIndex, TimeMs, WorkerId, WorkerSpec,
};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogCommand {
    /// Limits and preferences are to be these.
    Configure {
        /// All of them.
        settings: Box<Settings>,
        /// When.
        at: TimeMs,
    },
    /// It is later. Wanted while [`crate::State::next_deadline`] names a time.
    Tick {
        /// When.
        at: TimeMs,
    },
    /// Somebody wants a run. Answered by [`crate::Effect::SubmitAccepted`] or [`crate::Effect::SubmitRefused`]; a
    /// second submission of a known run changes nothing, and that of a forgotten one is refused.
    Submit {
        /// Chosen by the submitter.
        run: RunId,
        /// What to do. Shared with the state, which keeps it: a large one is never copied.
        spec: Arc<RunSpec>,
        /// When.
        at: TimeMs,
    },
    /// The action of a step was made and looked up, in answer to [`crate::Effect::Resolve`].
    Resolved {
        /// The step.
        id: StepId,
        /// What came of it.
        resolution: Resolution,
        /// When.
        at: TimeMs,
    },
    /// A worker is there, or says something else of itself. A known name with the same incarnation is the same
    /// worker, which takes steps again if it was draining; with another one the worker that had the name is gone.
    /// [`crate::State::worker_named`] tells its number.
    WorkerJoined {
        /// What it says of itself.
        spec: WorkerSpec,
        /// When.
        at: TimeMs,
    },
    /// A worker is to be emptied: it finishes what it runs and gets nothing new.
    WorkerDraining {
        /// Its number.
        worker: WorkerId,
        /// When.
        at: TimeMs,
    },
    /// A worker is gone, and whatever it was doing with it.
    WorkerLeft {
        /// Its number.
        worker: WorkerId,
        /// For people; ends the sentence "worker X was lost: ...".
        reason: Box<str>,
        /// When.
        at: TimeMs,
    },
    /// A worker is done with an attempt, in answer to [`crate::Effect::Start`].
    AttemptFinished {
        /// The step.
        id: StepId,
        /// Which attempt.
        attempt: AttemptId,
        /// The epoch it was started with.
        epoch: Epoch,
        /// How it went.
        outcome: AttemptOutcome,
        /// Milliseconds that the process ran.
        duration_ms: u64,
        /// What else there is to say of it.
        detail: Option<Detail>,
        /// When.
        at: TimeMs,
    },
    /// The outputs that the submitter wanted were written, in answer to [`crate::Effect::Deliver`].
    Delivered {
        /// The run.
        run: RunId,
        /// Steps whose outputs could no longer be read, which are run again. Empty when all is delivered.
        lost: Vec<u32>,
        /// When.
        at: TimeMs,
    },
    /// Something about a live run is to be read by whoever watches it.
    Noted {
        /// The run.
        run: RunId,
        /// The step it is about, if any.
        step: Option<StepIndex>,
        /// What.
        note: Note,
        /// When.
        at: TimeMs,
    },
    /// Somebody wants the run to end.
    Cancel {
        /// The run.
        run: RunId,
        /// When.
        at: TimeMs,
    },
    /// Nobody will ask for the run any more: forget all of it but its id, if it is finished.
    Forget {
        /// The run.
        run: RunId,
    },
    /// All coordinators know this version of the log: from here on it holds.
    Upgrade {
        /// Which.
        version: u32,
    },
    /// Stands for what a next version might have to say; see [`crate::NEWEST_VERSION`].
    #[cfg(feature = "next-version")]
    Rehearse,
}

impl LogCommand {
    /// When it happened, where that matters.
    pub const fn at(&self) -> Option<TimeMs> {
        match self {
            Self::Configure { at, .. }
            | Self::Tick { at }
            | Self::Submit { at, .. }
            | Self::Resolved { at, .. }
            | Self::WorkerJoined { at, .. }
            | Self::WorkerDraining { at, .. }
            | Self::WorkerLeft { at, .. }
            | Self::AttemptFinished { at, .. }
            | Self::Delivered { at, .. }
            | Self::Noted { at, .. }
            | Self::Cancel { at, .. } => Some(*at),
            Self::Forget { .. } | Self::Upgrade { .. } => None,
            #[cfg(feature = "next-version")]
            Self::Rehearse => None,
        }
    }
}

/// What came of making and looking up an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resolution {
    /// The cache has a complete result.
    Hit {
        /// The action's key.
        action: Digest,
        /// Its outputs, as many as the step declares.
        outputs: Box<[TreeRef]>,
        /// How long the execution took that made it, in milliseconds: the time saved.
        saved_ms: u64,
    },
    /// It has to be executed.
    Miss {
        /// The action's key.
        action: Digest,
        /// Workers that hold some of its inputs and how many bytes, at most eight.
        near: Box<[(WorkerId, u64)]>,
    },
    /// The action could not be made because outputs of these dependencies (positions in the step's inputs)
    /// can no longer be read: their producers run again.
    InputLost {
        /// Positions in [`crate::spec::StepSpec::inputs`].
        inputs: Box<[u16]>,
    },
    /// The action cannot be made, and trying again will not help (two inputs collide, for one).
    Impossible {
        /// For people.
        reason: Box<str>,
    },
    /// The action could not be read or stored. The machine is at fault, not the step.
    Trouble {
        /// For people.
        reason: Box<str>,
    },
}

impl Resolution {
    /// It has to be executed, and no worker is nearer to its inputs than another.
    pub fn miss(action: Digest) -> Self {
        Self::Miss { action, near: Box::default() }
    }
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttemptOutcome {
    /// The process exited 0 and every output is in the cache.
    Succeeded {
        /// As many as the step declares.
        outputs: Box<[TreeRef]>,
    },
    /// The step failed by itself: exit code, a signal, a missing output. Identical steps waiting for it fail too.
    Failed {
        /// The exit code, or 128 + signal.
        exit_code: i32,
    },
    /// It ran longer than it may.
    TimedOut,
    /// It was stopped because the core said so.
    Cancelled,
    /// The machine failed it: no space, no namespace.
    Infra {
        /// For people.
        reason: Box<str>,
    },
    /// Inputs could not be read, so the step has no result; their producers run again, and its action is made
    /// again. No failure, and no retry is used up. See [`Resolution::InputLost`].
    InputLost {
        /// Positions in [`crate::spec::StepSpec::inputs`]; none where the directories that hold them together
        /// are lost.
        inputs: Box<[u16]>,
    },
    /// It could not be started, and no machine could start it until somebody changes something: its image is refused to
    /// whoever asks, for one. It is not tried again. Identical steps that wait for it try for themselves: what it lacks is
    /// not in the key, and they may have it.
    Impossible {
        /// For people.
        reason: Box<str>,
    },
}
