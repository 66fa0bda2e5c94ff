//! Workers, what they have and what is taken of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::place::Demand;
use crate::{StepId, WorkerId};

/// As long as a host name can be (RFC 1035). For names of workers and for both halves of a label.
pub(crate) const MAX_NAME: usize = 255;
/// A URL with some room.
const MAX_ADDRESS: usize = 1024;
/// More than anybody gives a machine by hand.
pub(crate) const MAX_LABELS: usize = 64;

/// What a worker says of itself when it joins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSpec {
    /// Stays the same when it is started again.
    pub name: Box<str>,
    /// Differs between two processes of one name.
    pub incarnation: u64,
    /// Where others reach it; empty for the machine itself.
    pub address: Box<str>,
    /// What steps can ask for.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

impl WorkerSpec {
    /// Whether it is small enough to be kept.
    pub(crate) fn is_valid(&self) -> bool {
        let short = |text: &str| text.len() <= MAX_NAME;
        !self.name.is_empty()
            && short(&self.name)
            && self.address.len() <= MAX_ADDRESS
            && self.labels.len() <= MAX_LABELS
            && self.labels.iter().all(|(label, value)| short(label) && short(value))
    }
}

/// What there is to know about a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerView<'a> {
    /// Its number. A process that is started again has another.
    pub id: WorkerId,
    /// What it said of itself last.
    pub spec: &'a WorkerSpec,
    /// Nothing new starts on it.
    pub draining: bool,
    /// Thousandths of a processor that running steps take.
    pub used_cpu_millis: u64,
    /// Bytes of memory that running steps take.
    pub used_memory_bytes: u64,
    /// How many steps run on it.
    pub running: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Worker {
    spec: WorkerSpec,
    draining: bool,
    /// Wider than what it has: it may shrink while steps run.
    used_cpu_millis: u64,
    used_memory_bytes: u64,
    running: BTreeSet<StepId>,
}

impl Worker {
    /// Whether it could run such a step if it did nothing else.
    pub(crate) const fn could_hold(&self, demand: Demand) -> bool {
        !self.draining
            && self.spec.cpu_millis >= demand.cpu_millis
            && self.spec.memory_bytes >= demand.memory_bytes
    }

    pub(crate) fn free_cpu_millis(&self) -> u64 {
        u64::from(self.spec.cpu_millis).saturating_sub(self.used_cpu_millis)
    }

    pub(crate) const fn free_memory_bytes(&self) -> u64 {
        self.spec.memory_bytes.saturating_sub(self.used_memory_bytes)
    }

    fn view(&self, id: WorkerId) -> WorkerView<'_> {
        WorkerView {
            id,
            spec: &self.spec,
            draining: self.draining,
            used_cpu_millis: self.used_cpu_millis,
            used_memory_bytes: self.used_memory_bytes,
            running: self.running.len(),
        }
    }
}

/// A worker that is gone.
pub(crate) struct Left {
    pub(crate) name: Box<str>,
    pub(crate) running: BTreeSet<StepId>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Workers {
    all: BTreeMap<WorkerId, Worker>,
    by_name: BTreeMap<Box<str>, WorkerId>,
    /// The number given out last; none is given out twice.
    last: u64,
}

impl Workers {
    /// Adds a worker, or takes over what a known one says of itself; what it runs it goes on running. One of
    /// the same name and another incarnation must have left.
    pub(crate) fn join(&mut self, spec: WorkerSpec) {
        let id = *self.by_name.entry(spec.name.clone()).or_insert_with(|| {
            self.last += 1;
            WorkerId(self.last)
        });
        let worker = self.all.entry(id).or_default();
        worker.spec = spec;
        worker.draining = false;
    }

    /// Whether that is news.
    pub(crate) fn drain(&mut self, id: WorkerId) -> bool {
        let worker = self.all.get_mut(&id).filter(|worker| !worker.draining);
        worker.map(|worker| worker.draining = true).is_some()
    }

    /// Removes a worker, if it is known.
    pub(crate) fn leave(&mut self, id: WorkerId) -> Option<Left> {
        let Worker { spec: WorkerSpec { name, .. }, running, .. } = self.all.remove(&id)?;
        self.by_name.remove(&name);
        Some(Left { name, running })
    }

    pub(crate) fn take(&mut self, id: WorkerId, step: StepId, demand: Demand) {
        if let Some(worker) = self.all.get_mut(&id)
            && worker.running.insert(step)
        {
            worker.used_cpu_millis += u64::from(demand.cpu_millis);
            worker.used_memory_bytes = worker.used_memory_bytes.saturating_add(demand.memory_bytes);
        }
    }

    pub(crate) fn give_back(&mut self, id: WorkerId, step: StepId, demand: Demand) {
        if let Some(worker) = self.all.get_mut(&id)
            && worker.running.remove(&step)
        {
            worker.used_cpu_millis -= u64::from(demand.cpu_millis);
            worker.used_memory_bytes = worker.used_memory_bytes.saturating_sub(demand.memory_bytes);
        }
    }

    /// Those that take steps.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.all.iter().map(|(id, worker)| (*id, worker)).filter(|(_, worker)| !worker.draining)
    }

    /// The worker of this name, whatever its incarnation.
    pub(crate) fn named(&self, name: &str) -> Option<WorkerView<'_>> {
        self.view(*self.by_name.get(name)?)
    }

    pub(crate) fn view(&self, id: WorkerId) -> Option<WorkerView<'_>> {
        self.all.get(&id).map(|worker| worker.view(id))
    }

    pub(crate) fn views(&self) -> impl Iterator<Item = WorkerView<'_>> {
        self.all.iter().map(|(id, worker)| worker.view(*id))
    }
}
