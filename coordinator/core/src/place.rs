//! Where steps stand in lines.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::StepId;
use crate::labels::LabelSetId;
use crate::shunned::ShunnedId;
use crate::tenants::TenantId;

/// By age: runs in the order of their submission, steps in the order of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) order: u64,
    pub(crate) id: StepId,
}

/// Among the steps of a tenant: by what the submitter says, then by how long the chain that hangs on the step is
/// expected to take, longest first, then by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Priority {
    pub(crate) priority: Reverse<i8>,
    pub(crate) rank: Reverse<u32>,
    pub(crate) place: Place,
}

/// What a step takes of a worker, and which workers it takes. Steps that take the same are interchangeable to
/// the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Demand {
    /// Thousandths of a processor, at least 1: a step that takes nothing would never fill a worker.
    pub(crate) cpu_millis: u32,
    /// Bytes.
    pub(crate) memory_bytes: u64,
    /// Labels that the worker must have.
    pub(crate) labels: LabelSetId,
    /// A worker that it must not be for now, unless no other one could ever do. Last, so that they stand beside those that go
    /// anywhere.
    pub(crate) shuns: Option<ShunnedId>,
}

/// Steps of one tenant that take the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) tenant: TenantId,
    pub(crate) demand: Demand,
}
