//! Workers, what they have and what is taken of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::labels::{LabelSetId, LabelSets};
use crate::place::Demand;
use crate::shunned::Shunned;
use crate::spec::Label;
use crate::worker_spec::WorkerSpec;
use crate::{StepId, WorkerId};

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
    /// The operation among them that takes nothing of what it has: it has a place beside steps that take all of it.
    pub beside: Option<StepId>,
    /// Whether such a place is free.
    pub has_place_beside: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Worker {
    spec: WorkerSpec,
    draining: bool,
    /// Wider than what it has: it may shrink while steps run.
    used_cpu_millis: u64,
    used_memory_bytes: u64,
    /// What runs on it, and what each of these counts (see [`Workers::counted`]).
    running: BTreeMap<StepId, u64>,
    /// How many of these are operations.
    operations: u32,
    /// The operation that has the place beside the others. It is not counted in what is taken.
    beside: Option<StepId>,
    /// Of the sets that runs ask for, those that it has, ascending.
    sets: Vec<LabelSetId>,
}

impl Worker {
    /// Whether it could run such a step if it did nothing else.
    fn could_hold(&self, demand: Demand) -> bool {
        !self.draining
            && self.spec.cpu_millis >= demand.cpu_millis
            && self.spec.memory_bytes >= demand.memory_bytes
            && self.sets.binary_search(&demand.labels).is_ok()
    }

    /// Whether there is as much left as such a step takes.
    fn fits(&self, demand: Demand) -> bool {
        self.free_cpu_millis() >= u64::from(demand.cpu_millis)
            && self.free_memory_bytes() >= demand.memory_bytes
    }

    /// Whether it could run such a step now.
    fn has_room(&self, demand: Demand) -> bool {
        self.could_hold(demand) && (self.fits(demand) || self.has_room_beside(demand))
    }

    /// Whether the step may have the place beside the others.
    fn has_room_beside(&self, demand: Demand) -> bool {
        demand.operation && self.has_place_beside()
    }

    fn has_place_beside(&self) -> bool {
        self.beside.is_none() && self.running.len() > self.operations as usize
    }

    pub(crate) fn has(&self, labels: &[Label]) -> bool {
        labels.iter().all(|(label, value)| self.spec.labels.get(label) == Some(value))
    }

    pub(crate) const fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn free_cpu_millis(&self) -> u64 {
        u64::from(self.spec.cpu_millis).saturating_sub(self.used_cpu_millis)
    }

    const fn free_memory_bytes(&self) -> u64 {
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
            beside: self.beside,
            has_place_beside: self.has_place_beside(),
        }
    }
}

/// A worker that is gone.
pub(crate) struct Left {
    pub(crate) name: Box<str>,
    /// What ran there, and what each of these counted.
    pub(crate) running: BTreeMap<StepId, u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Workers {
    all: BTreeMap<WorkerId, Worker>,
    by_name: BTreeMap<Box<str>, WorkerId>,
    /// The number given out last; none is given out twice.
    last: u64,
    /// What all of them have together.
    cpu_millis: u64,
    memory_bytes: u128,
    /// For every set of labels that runs ask for, the workers that have it and take steps: most processor left
    /// first, then the lower number.
    by_room: BTreeMap<LabelSetId, BTreeSet<(Reverse<u64>, WorkerId)>>,
    pub(crate) shunned: Shunned,
}

impl Workers {
    /// Changes a worker and its place in the line.
    fn change(&mut self, id: WorkerId, change: impl FnOnce(&mut Worker)) {
        let Some(worker) = self.all.get_mut(&id) else { return };
        let before = (Reverse(worker.free_cpu_millis()), id);
        for set in worker.sets.iter().filter(|_| !worker.draining) {
            if let Some(line) = self.by_room.get_mut(set) {
                line.remove(&before);
            }
        }
        change(worker);
        let after = (Reverse(worker.free_cpu_millis()), id);
        for set in worker.sets.iter().filter(|_| !worker.draining) {
            self.by_room.entry(*set).or_default().insert(after);
        }
    }

    /// Runs ask for a further set of labels.
    pub(crate) fn watch(&mut self, set: LabelSetId, labels: &[Label]) {
        let having = self.all.iter().filter(|(_, worker)| worker.has(labels)).map(|(id, _)| *id);
        for id in having.collect::<Vec<_>>() {
            // Numbers of sets only rise, so the order is kept.
            self.change(id, |worker| worker.sets.push(set));
        }
    }

    /// No run asks for the set any more.
    pub(crate) fn forget(&mut self, set: LabelSetId) {
        self.by_room.remove(&set);
        for worker in self.all.values_mut() {
            worker.sets.retain(|known| *known != set);
        }
    }

    /// Whether the worker could and may run such a step if it did nothing else.
    pub(crate) fn could_hold(&self, id: WorkerId, demand: Demand) -> bool {
        self.all.get(&id).is_some_and(|worker| worker.could_hold(demand) && !self.shuns(demand, id, worker))
    }

    /// Whether the worker could run such a step, which has to go to another one.
    pub(crate) fn is_shunned(&self, id: WorkerId, demand: Demand) -> bool {
        self.all.get(&id).is_some_and(|worker| worker.could_hold(demand) && self.shuns(demand, id, worker))
    }

    /// Whether such a step has to go to another worker, and there is one that could run it some day. Takes time only
    /// for the one that it shuns.
    fn shuns(&self, demand: Demand, id: WorkerId, worker: &Worker) -> bool {
        let could = |other| self.all.get(other).is_some_and(|other| other.could_hold(demand));
        let mut line = self.by_room.get(&demand.labels).into_iter().flatten();
        demand.shuns.is_some_and(|shunned| self.shunned.is(shunned, &worker.spec.name))
            && line.any(|(_, other)| *other != id && could(other))
    }

    /// The processor that a worker has left, if it has room for such a step and may run it.
    pub(crate) fn room(&self, id: WorkerId, demand: Demand) -> Option<u64> {
        let worker = self.all.get(&id).filter(|worker| worker.has_room(demand))?;
        (!self.shuns(demand, id, worker)).then(|| worker.free_cpu_millis())
    }

    /// The same for the one place of each worker that has an operation where steps of pipelines take all there is. These may wait
    /// for operations: what a step of a pipeline has built is built by those. An operation waits for nothing, so there is always
    /// one that goes on.
    pub(crate) fn room_beside(&self, id: WorkerId, demand: Demand) -> Option<u64> {
        let worker = self.all.get(&id)?;
        let has_room = worker.could_hold(demand) && worker.has_room_beside(demand);
        (has_room && !self.shuns(demand, id, worker)).then(|| worker.free_cpu_millis())
    }

    /// The worker with most processor left among those that have room for such a step. One is kept free for others, and has no
    /// more than a place beside them.
    pub(crate) fn roomiest(&self, demand: Demand, kept: Option<WorkerId>) -> Option<WorkerId> {
        let enough = |free: &u64| *free >= u64::from(demand.cpu_millis) || demand.operation;
        let mut line = self.by_room.get(&demand.labels)?.iter().take_while(|(Reverse(free), _)| enough(free));
        line.find(|(_, id)| self.room_but(*id, demand, kept).is_some()).map(|(_, id)| *id)
    }

    /// [`Self::room`], or where the worker is kept free for others [`Self::room_beside`].
    pub(crate) fn room_but(&self, id: WorkerId, demand: Demand, kept: Option<WorkerId>) -> Option<u64> {
        if Some(id) == kept { self.room_beside(id, demand) } else { self.room(id, demand) }
    }

    /// The worker with most processor left among those that could run such a step if they did nothing else.
    pub(crate) fn roomiest_able(&self, demand: Demand) -> Option<WorkerId> {
        let mut line = self.by_room.get(&demand.labels)?.iter();
        line.find(|(_, id)| self.could_hold(*id, demand)).map(|(_, id)| *id)
    }

    /// Whether any worker takes steps.
    pub(crate) fn any(&self) -> bool {
        self.by_room.get(&LabelSetId::NONE).is_some_and(|line| !line.is_empty())
    }

    /// Adds a worker, or takes over what a known one says of itself; what it runs it goes on running. One of
    /// the same name and another incarnation must have left.
    pub(crate) fn join(&mut self, spec: WorkerSpec, sets: &LabelSets) -> WorkerId {
        let id = *self.by_name.entry(spec.name.clone()).or_insert_with(|| {
            self.last += 1;
            WorkerId(self.last)
        });
        let before = &self.all.entry(id).or_default().spec;
        self.cpu_millis = self.cpu_millis - u64::from(before.cpu_millis) + u64::from(spec.cpu_millis);
        self.memory_bytes =
            self.memory_bytes - u128::from(before.memory_bytes) + u128::from(spec.memory_bytes);
        self.change(id, |worker| {
            worker.spec = spec;
            worker.draining = false;
            worker.sets = sets.ids().filter(|set| worker.has(sets.labels(*set))).collect();
        });
        id
    }

    /// Whether that is news.
    pub(crate) fn drain(&mut self, id: WorkerId) -> bool {
        let news = self.all.get(&id).is_some_and(|worker| !worker.draining);
        if news {
            self.change(id, |worker| worker.draining = true);
        }
        news
    }

    /// Removes a worker, if it is known.
    pub(crate) fn leave(&mut self, id: WorkerId) -> Option<Left> {
        self.drain(id);
        let Worker { spec: WorkerSpec { name, cpu_millis, memory_bytes, .. }, running, .. } =
            self.all.remove(&id)?;
        self.by_name.remove(&name);
        self.cpu_millis -= u64::from(cpu_millis);
        self.memory_bytes -= u128::from(memory_bytes);
        Some(Left { name, running })
    }

    /// What a step counts when workers are shared: the thousandths of a processor that it takes, or as many as there are of
    /// them for the memory that it takes, if these are more: a step that takes all memory leaves no processor to others. That
    /// is its dominant share (Ghodsi et al., Dominant Resource Fairness, NSDI 2011), of all workers as they are now.
    fn counted(&self, demand: Demand) -> u64 {
        let memory = u128::from(demand.memory_bytes) * u128::from(self.cpu_millis);
        let memory = memory.checked_div(self.memory_bytes).unwrap_or(0);
        u64::from(demand.cpu_millis).max(u64::try_from(memory).unwrap_or(u64::MAX))
    }

    /// A step starts there, which is kept free for others or not. Gives what it counts.
    pub(crate) fn take(&mut self, id: WorkerId, step: StepId, demand: Demand, is_kept: bool) -> u64 {
        let counted = self.counted(demand);
        self.change(id, |worker| {
            let beside = demand.operation && (is_kept || !worker.fits(demand));
            if worker.running.insert(step, counted).is_some() {
                return;
            }
            worker.operations += u32::from(demand.operation);
            if beside {
                worker.beside = Some(step);
            } else {
                worker.used_cpu_millis += u64::from(demand.cpu_millis);
                worker.used_memory_bytes = worker.used_memory_bytes.saturating_add(demand.memory_bytes);
            }
        });
        counted
    }

    /// If the step ran there, it does no longer. Gives what it counted.
    pub(crate) fn give_back(&mut self, id: WorkerId, step: StepId, demand: Demand) -> Option<u64> {
        let mut counted = None;
        self.change(id, |worker| {
            counted = worker.running.remove(&step);
            worker.operations -= u32::from(counted.is_some() && demand.operation);
            if worker.beside == Some(step) {
                worker.beside = None;
            } else if counted.is_some() {
                worker.used_cpu_millis -= u64::from(demand.cpu_millis);
                worker.used_memory_bytes = worker.used_memory_bytes.saturating_sub(demand.memory_bytes);
            }
        });
        counted
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

    pub(crate) fn running_on(&self, id: WorkerId) -> impl Iterator<Item = StepId> {
        self.all.get(&id).into_iter().flat_map(|worker| worker.running.keys().copied())
    }

    pub(crate) fn views(&self) -> impl Iterator<Item = WorkerView<'_>> {
        self.all.iter().map(|(id, worker)| worker.view(*id))
    }
}
