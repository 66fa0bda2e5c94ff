//! Steps that only lack a worker.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::WorkerId;
use crate::place::{Demand, Priority};

/// A worker that is kept free until steps of one kind fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reservation {
    pub(crate) demand: Demand,
    pub(crate) worker: WorkerId,
}

/// Ready steps by what they take, then by priority. When a worker is full for one step of a group, it is for
/// all of them, so a decision looks at groups, of which there are few, and not at steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadyQueue {
    groups: BTreeMap<Demand, BTreeSet<Priority>>,
    /// For groups that did not fit anywhere: how many steps behind them in the line were started since one of
    /// theirs was.
    passed: BTreeMap<Demand, u32>,
    reservation: Option<Reservation>,
}

impl ReadyQueue {
    pub(crate) fn insert(&mut self, demand: Demand, step: Priority) {
        self.groups.entry(demand).or_default().insert(step);
    }

    pub(crate) fn remove(&mut self, demand: Demand, step: &Priority) {
        if let Some(group) = self.groups.get_mut(&demand) {
            group.remove(step);
            if group.is_empty() {
                self.groups.remove(&demand);
                self.served(demand);
            }
        }
    }

    /// A step of the group was started, or the last one is gone: nobody has been passed any more.
    pub(crate) fn served(&mut self, demand: Demand) {
        self.passed.remove(&demand);
        self.reservation = self.reservation.filter(|reservation| reservation.demand != demand);
    }

    pub(crate) fn pass(&mut self, demand: Demand) {
        let times = self.passed.entry(demand).or_default();
        *times = times.saturating_add(1);
    }

    pub(crate) fn passed(&self, demand: Demand) -> u32 {
        self.passed.get(&demand).copied().unwrap_or(0)
    }

    pub(crate) const fn reservation(&self) -> Option<Reservation> {
        self.reservation
    }

    pub(crate) const fn reserve(&mut self, reservation: Option<Reservation>) {
        self.reservation = reservation;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = (Demand, &BTreeSet<Priority>)> {
        self.groups.iter().map(|(demand, steps)| (*demand, steps))
    }
}
