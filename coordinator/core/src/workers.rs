//! Workers, what they have and what is taken of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::place::Demand;
use crate::{StepId, WorkerId};

/// What there is to know about a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerView {
    /// Its number.
    pub id: WorkerId,
    /// Thousandths of a processor it has.
    pub cpu_millis: u32,
    /// Bytes of memory it has.
    pub memory_bytes: u64,
    /// Thousandths of a processor that running steps take.
    pub used_cpu_millis: u64,
    /// Bytes of memory that running steps take.
    pub used_memory_bytes: u64,
    /// How many steps run on it.
    pub running: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Worker {
    cpu_millis: u32,
    memory_bytes: u64,
    /// Wider than what it has: it may shrink while steps run.
    used_cpu_millis: u64,
    used_memory_bytes: u64,
    running: BTreeSet<StepId>,
}

impl Worker {
    /// Whether it could run such a step if it did nothing else.
    pub(crate) const fn could_hold(&self, demand: Demand) -> bool {
        self.cpu_millis >= demand.cpu_millis && self.memory_bytes >= demand.memory_bytes
    }

    pub(crate) fn free_cpu_millis(&self) -> u64 {
        u64::from(self.cpu_millis).saturating_sub(self.used_cpu_millis)
    }

    pub(crate) const fn free_memory_bytes(&self) -> u64 {
        self.memory_bytes.saturating_sub(self.used_memory_bytes)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Workers(BTreeMap<WorkerId, Worker>);

impl Workers {
    /// Adds a worker, or gives a known one another capacity; what it runs it goes on running.
    pub(crate) fn join(&mut self, id: WorkerId, cpu_millis: u32, memory_bytes: u64) {
        let worker = self.0.entry(id).or_default();
        worker.cpu_millis = cpu_millis;
        worker.memory_bytes = memory_bytes;
    }

    /// Removes a worker and says what it was running, or nothing if it is not known.
    pub(crate) fn leave(&mut self, id: WorkerId) -> Option<BTreeSet<StepId>> {
        self.0.remove(&id).map(|worker| worker.running)
    }

    pub(crate) fn take(&mut self, id: WorkerId, step: StepId, demand: Demand) {
        if let Some(worker) = self.0.get_mut(&id)
            && worker.running.insert(step)
        {
            worker.used_cpu_millis += u64::from(demand.cpu_millis);
            worker.used_memory_bytes = worker.used_memory_bytes.saturating_add(demand.memory_bytes);
        }
    }

    pub(crate) fn give_back(&mut self, id: WorkerId, step: StepId, demand: Demand) {
        if let Some(worker) = self.0.get_mut(&id)
            && worker.running.remove(&step)
        {
            worker.used_cpu_millis -= u64::from(demand.cpu_millis);
            worker.used_memory_bytes = worker.used_memory_bytes.saturating_sub(demand.memory_bytes);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.0.iter().map(|(id, worker)| (*id, worker))
    }

    pub(crate) fn views(&self) -> impl Iterator<Item = WorkerView> {
        self.iter().map(|(id, worker)| WorkerView {
            id,
            cpu_millis: worker.cpu_millis,
            memory_bytes: worker.memory_bytes,
            used_cpu_millis: worker.used_cpu_millis,
            used_memory_bytes: worker.used_memory_bytes,
            running: worker.running.len(),
        })
    }
}
