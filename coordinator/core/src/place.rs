//! Where steps stand in lines.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::StepId;

/// By age: runs in the order of their submission, steps in the order of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) order: u64,
    pub(crate) id: StepId,
}

/// By the length of the chain that hangs on the step, longest first, then by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Priority {
    pub(crate) rank: Reverse<u32>,
    pub(crate) place: Place,
}

/// What a step takes of a worker. Steps that take the same are interchangeable to the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Demand {
    /// Thousandths of a processor, at least 1: a step that takes nothing would never fill a worker.
    pub(crate) cpu_millis: u32,
    /// Bytes.
    pub(crate) memory_bytes: u64,
}
