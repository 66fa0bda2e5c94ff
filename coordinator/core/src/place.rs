//! Where steps stand in lines.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::labels::LabelSetId;
use crate::run::Run;
use crate::shunned::ShunnedId;
use crate::tenants::TenantId;
use crate::{Epoch, RunId, StepId, StepIndex};

/// By what submitters say, then by age: runs in the order of their submission, steps in the order of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) priority: Reverse<i8>,
    pub(crate) order: u64,
    pub(crate) id: StepId,
}

/// Who has turns among those of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Flow {
    /// A run of a pipeline.
    Run(RunId),
    /// A client, with all its operations of one priority.
    Client(u64),
}

/// Among the runs and clients of a tenant: by what the submitter says, then by what their running steps take, then by when one of
/// these was started last, then by age. So they have turns: who starts a step stands behind all others that have as little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Turn {
    pub(crate) priority: Reverse<i8>,
    /// See [`crate::workers::Workers::counted`].
    pub(crate) used: u64,
    /// Of the last start; of the last start of anybody where it had none so far.
    pub(crate) last: Epoch,
    pub(crate) order: u64,
    pub(crate) flow: Flow,
}

/// Among the steps that have turns together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// Of a run: by how long the chain that hangs on the step is expected to take, longest first, then in the order of the run.
    Step(Reverse<u32>, StepId),
    /// Of a client: by age.
    Operation(u64, StepId),
}

/// Among the steps of a tenant: by the turns of their runs and clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Priority {
    pub(crate) turn: Turn,
    pub(crate) rank: Rank,
}

impl Priority {
    /// The step that stands there.
    pub(crate) const fn id(&self) -> StepId {
        let (Rank::Step(_, id) | Rank::Operation(_, id)) = self.rank;
        id
    }
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
    /// Whether it is an operation, for which there is a place beside steps of pipelines (see [`crate::workers::Workers::room_beside`]).
    pub(crate) operation: bool,
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

impl Run {
    pub(crate) fn demand(&self, step: StepIndex) -> Demand {
        let spec = self.step_spec(step);
        Demand {
            cpu_millis: spec.cpu_millis.max(1),
            memory_bytes: spec.memory_bytes,
            labels: self.label_sets.get(usize::from(spec.requires)).copied().unwrap_or_default(),
            operation: self.spec.operation,
            shuns: self.shunned.get(&step).map(|shun| shun.worker),
        }
    }

    /// While the run is live.
    pub(crate) fn group(&self, step: StepIndex) -> Option<Group> {
        Some(Group { tenant: self.tenant?, demand: self.demand(step) })
    }
}
