//! Coordinators that were members.

use std::collections::VecDeque;

use openraft::alias::StoredMembershipOf;
use serde::{Deserialize, Serialize};

use super::types::{NodeId, Types};

/// How many are remembered, eight bytes each: a cluster that replaces one every day has done so for almost three years. One
/// that was forgotten still takes itself for a member and does not ask to be taken in.
const KEPT: usize = 1_000;

/// Coordinators that are members no more, and are never again: what they voted for and acknowledged counts for nobody. Part
/// of what is applied, so that every member knows the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed(VecDeque<NodeId>);

impl Removed {
    /// Whether that one was a member and is none any more.
    pub fn contains(&self, id: NodeId) -> bool {
        self.0.contains(&id)
    }

    /// Notes who goes where `after` comes after `before`.
    pub(super) fn note(&mut self, before: &StoredMembershipOf<Types>, after: &StoredMembershipOf<Types>) {
        let stays = |id: &NodeId| after.membership().get_node(id).is_some();
        for (id, _) in before.membership().nodes().filter(|(id, _)| !stays(id)) {
            if self.0.len() == KEPT {
                self.0.pop_front();
            }
            self.0.push_back(*id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use openraft::Membership;

    use super::*;
    use crate::raft::types::Member;

    fn members(configs: &[&[NodeId]], learners: &[NodeId]) -> StoredMembershipOf<Types> {
        let nodes = configs.iter().copied().flatten().chain(learners);
        let nodes: BTreeMap<_, _> = nodes.map(|id| (*id, Member::default())).collect();
        let configs = configs.iter().map(|ids| ids.iter().copied().collect::<BTreeSet<_>>()).collect();
        StoredMembershipOf::<Types>::new(None, Membership::new(configs, nodes).unwrap())
    }

    #[test]
    fn who_is_no_member_any_more_is_remembered() {
        let mut removed = Removed::default();
        let all = members(&[&[1, 2, 3]], &[4]);
        removed.note(&StoredMembershipOf::<Types>::default(), &all);
        let leaving = members(&[&[1, 2, 3], &[1, 2]], &[4]);
        removed.note(&all, &leaving);
        assert_eq!(removed, Removed::default(), "nobody is gone while the change is under way");
        let left = members(&[&[1, 2]], &[4]);
        removed.note(&leaving, &left);
        removed.note(&left, &members(&[&[1, 2]], &[]));
        assert!(removed.contains(3) && removed.contains(4) && !removed.contains(1));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut removed = Removed::default();
        for id in 0..=KEPT as NodeId {
            removed.note(&members(&[&[id]], &[]), &members(&[&[id + 1]], &[]));
        }
        assert!(removed.0.len() == KEPT && !removed.contains(0) && removed.contains(KEPT as NodeId));
    }
}
