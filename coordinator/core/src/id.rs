//! Names of things in the core.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, as some command said. Only compared and subtracted.
pub type TimeMs = u64;

/// A step's position in its run's specification. Dependencies have smaller ones.
pub type StepIndex = u32;

/// Counts the starts of one step, from 1.
pub type AttemptId = u32;

/// Fences an attempt: whatever carries an epoch older than the step's newest is refused. Only ever rises.
pub type Epoch = u64;

/// A run. Chosen by the submitter, so that a repeated submission is recognised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId(pub u128);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

/// A worker process, numbered by the core when it joins. Numbers only rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId(pub u64);

/// A step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepId {
    /// The run.
    pub run: RunId,
    /// The step in it.
    pub step: StepIndex,
}
