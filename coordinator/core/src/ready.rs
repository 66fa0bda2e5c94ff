//! Steps that only lack a worker.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::place::{Demand, Group, Priority, Rank, Turn};
use crate::tenants::TenantId;
use crate::{RunId, StepId, StepIndex, TimeMs, WorkerId};

/// A worker that is kept free until a step of one group fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reservation {
    pub(crate) group: Group,
    pub(crate) worker: WorkerId,
}

/// What steps lack that no worker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Lack {
    /// A worker that takes steps at all.
    AnyWorker,
    /// One that could run them even if it did nothing else.
    AbleWorker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stuck {
    pub(crate) lack: Lack,
    pub(crate) since: TimeMs,
}

/// Steps of one group, by the turns of their runs and clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    flows: BTreeMap<Turn, Steps>,
    /// How many steps there are.
    steps: usize,
}

impl Line {
    fn head(&self) -> Option<Priority> {
        let (turn, steps) = self.flows.first_key_value()?;
        steps.first().map(|rank| Priority { turn: *turn, rank })
    }

    fn insert(&mut self, step: Priority) {
        let steps = self.flows.entry(step.turn).or_insert_with(|| Steps::new(&step.rank));
        self.steps += usize::from(steps.insert(step.rank));
    }

    fn remove(&mut self, step: &Priority) {
        let Some(steps) = self.flows.get_mut(&step.turn) else { return };
        self.steps -= usize::from(steps.remove(&step.rank));
        if steps.is_empty() {
            self.flows.remove(&step.turn);
        }
    }
}

/// Those of them that have turns together, by their ranks. There may be very many of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Steps {
    Run(RunId, BTreeSet<(Reverse<u32>, StepIndex)>),
    Client(BTreeSet<(u64, StepId)>),
}

impl Steps {
    /// None, where the first one will be of this rank.
    const fn new(rank: &Rank) -> Self {
        match rank {
            Rank::Step(_, id) => Self::Run(id.run, BTreeSet::new()),
            Rank::Operation(..) => Self::Client(BTreeSet::new()),
        }
    }

    fn first(&self) -> Option<Rank> {
        match self {
            Self::Run(run, steps) => {
                let (chain, step) = steps.first()?;
                Some(Rank::Step(*chain, StepId { run: *run, step: *step }))
            }
            Self::Client(operations) => operations.first().map(|(order, id)| Rank::Operation(*order, *id)),
        }
    }

    fn insert(&mut self, rank: Rank) -> bool {
        match (self, rank) {
            (Self::Run(_, steps), Rank::Step(chain, id)) => steps.insert((chain, id.step)),
            (Self::Client(operations), Rank::Operation(order, id)) => operations.insert((order, id)),
            _ => false,
        }
    }

    fn remove(&mut self, rank: &Rank) -> bool {
        match (self, rank) {
            (Self::Run(_, steps), Rank::Step(chain, id)) => steps.remove(&(*chain, id.step)),
            (Self::Client(operations), Rank::Operation(order, id)) => operations.remove(&(*order, *id)),
            _ => false,
        }
    }

    fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    fn ids(&self) -> Vec<StepId> {
        match self {
            Self::Run(run, steps) => {
                steps.iter().map(|(_, step)| StepId { run: *run, step: *step }).collect()
            }
            Self::Client(operations) => operations.iter().map(|(_, id)| *id).collect(),
        }
    }
}

/// Ready steps by tenant, by what they take, then by the turns of their runs and clients. When a worker is full for one step of a group,
/// it is for all of them, so a decision looks at groups, of which there are few, and not at steps or runs.
///
/// After every command, no worker has room for any step here, but for one that is kept free. So only workers that
/// gained room since, and groups that are new, need to be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadyQueue {
    tenants: BTreeMap<TenantId, BTreeMap<Demand, Line>>,
    /// What steps take, each with how many tenants have such steps.
    demands: BTreeMap<Demand, u32>,
    /// For groups that did not fit anywhere: how many steps behind them in the line were started since one of
    /// theirs was.
    passed: BTreeMap<Group, u32>,
    reservation: Option<Reservation>,
    /// Demands that no worker could meet, and since when.
    stuck: BTreeMap<Demand, Stuck>,
}

impl ReadyQueue {
    /// Says whether it is the first of its group.
    pub(crate) fn insert(&mut self, group: Group, step: Priority) -> bool {
        let line = self.tenants.entry(group.tenant).or_default().entry(group.demand).or_default();
        line.insert(step);
        let first = line.steps == 1;
        if first {
            *self.demands.entry(group.demand).or_default() += 1;
        }
        first
    }

    pub(crate) fn remove(&mut self, group: Group, step: &Priority) {
        let Some(groups) = self.tenants.get_mut(&group.tenant) else { return };
        let Some(line) = groups.get_mut(&group.demand) else { return };
        line.remove(step);
        if line.flows.is_empty() {
            groups.remove(&group.demand);
            if groups.is_empty() {
                self.tenants.remove(&group.tenant);
            }
            self.served(group);
            if let Some(tenants) = self.demands.get_mut(&group.demand) {
                *tenants -= 1;
                if *tenants == 0 {
                    self.demands.remove(&group.demand);
                    self.stuck.remove(&group.demand);
                }
            }
        }
    }

    /// The turn of a run or a client comes earlier or later than before.
    pub(crate) fn turn(&mut self, tenant: TenantId, before: &Turn, after: Turn) {
        for line in self.tenants.get_mut(&tenant).into_iter().flat_map(BTreeMap::values_mut) {
            if let Some(steps) = line.flows.remove(before) {
                line.flows.insert(after, steps);
            }
        }
    }

    /// A step of the group was started, or the last one is gone: nobody has been passed any more.
    pub(crate) fn served(&mut self, group: Group) {
        self.passed.remove(&group);
        self.reservation = self.reservation.filter(|reservation| reservation.group != group);
    }

    pub(crate) fn pass(&mut self, group: Group) {
        let times = self.passed.entry(group).or_default();
        *times = times.saturating_add(1);
    }

    /// Groups that were passed at least so often, most often first, then by their place in the line.
    pub(crate) fn starving(&self, patience: u32) -> Vec<Group> {
        let starving = self.passed.iter().filter(|(_, times)| **times >= patience);
        let mut starving: Vec<_> =
            starving.map(|(group, times)| (Reverse(*times), self.head(*group), *group)).collect();
        starving.sort_unstable();
        starving.into_iter().map(|(_, _, group)| group).collect()
    }

    pub(crate) const fn reservation(&self) -> Option<Reservation> {
        self.reservation
    }

    pub(crate) const fn reserve(&mut self, reservation: Option<Reservation>) {
        self.reservation = reservation;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    pub(crate) fn tenants(&self) -> impl Iterator<Item = TenantId> {
        self.tenants.keys().copied()
    }

    /// Whether the tenant has any.
    pub(crate) fn has(&self, tenant: TenantId) -> bool {
        self.tenants.contains_key(&tenant)
    }

    /// Each group of a tenant with its first step.
    pub(crate) fn groups(&self, tenant: TenantId) -> impl Iterator<Item = (Group, Priority)> {
        let groups = self.tenants.get(&tenant).into_iter().flatten();
        groups.filter_map(move |(demand, line)| Some((Group { tenant, demand: *demand }, line.head()?)))
    }

    /// Those that may go to the worker that they shun as soon as no other could ever do.
    pub(crate) fn shunning(&self) -> impl Iterator<Item = Group> {
        let groups = self.tenants().flat_map(|tenant| self.groups(tenant));
        groups.map(|(group, _)| group).filter(|group| group.demand.shuns.is_some())
    }

    pub(crate) fn head(&self, group: Group) -> Option<Priority> {
        self.tenants.get(&group.tenant)?.get(&group.demand)?.head()
    }

    /// What steps take, each once.
    pub(crate) fn demands(&self) -> impl Iterator<Item = Demand> {
        self.demands.keys().copied()
    }

    /// All steps that take this.
    pub(crate) fn steps(&self, demand: Demand) -> Vec<StepId> {
        let lines = self.tenants.values().filter_map(|groups| groups.get(&demand));
        lines.flat_map(|line| line.flows.values()).flat_map(Steps::ids).collect()
    }

    pub(crate) fn len(&self, tenant: TenantId) -> usize {
        self.tenants.get(&tenant).map_or(0, |groups| groups.values().map(|line| line.steps).sum())
    }

    /// Notes what it takes to meet the demand. Time begins anew where that is something else: when the first of many
    /// workers is back, the others are about to come.
    pub(crate) fn set_stuck(&mut self, demand: Demand, lack: Option<Lack>, at: TimeMs) {
        let known = self.stuck.get(&demand).map(|stuck| stuck.lack);
        match lack {
            Some(lack) if known != Some(lack) => {
                self.stuck.insert(demand, Stuck { lack, since: at });
            }
            Some(_) => {}
            None => drop(self.stuck.remove(&demand)),
        }
    }

    /// A step that was stuck takes this from now on, and is as stuck as before.
    pub(crate) fn stay_stuck(&mut self, demand: Demand, stuck: Stuck) {
        self.stuck.entry(demand).or_insert(stuck);
    }

    pub(crate) fn stuck(&self) -> &BTreeMap<Demand, Stuck> {
        &self.stuck
    }
}
