//! Steps that only lack a worker.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::place::{Demand, Priority};

/// Ready steps by what they take, then by priority. When a worker is full for one step of a group, it is for
/// all of them, so a decision looks at groups, of which there are few, and not at steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReadyQueue {
    groups: BTreeMap<Demand, BTreeSet<Priority>>,
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
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = (Demand, &BTreeSet<Priority>)> {
        self.groups.iter().map(|(demand, steps)| (*demand, steps))
    }
}
