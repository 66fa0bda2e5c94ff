//! What a process has applied stays applied.

use std::collections::BTreeMap;
use std::time::Duration;

use cullet_coordinator::raft::NodeId;

use super::{Broken, Invariant, Sight};

/// The applied index of a process only rises.
#[derive(Default)]
pub(super) struct NeverBack {
    seen: BTreeMap<(NodeId, u64), u64>,
}

impl Invariant for NeverBack {
    fn look(&mut self, _: Duration, sights: &[Sight], broken: &Broken) {
        for sight in sights {
            let seen = self.seen.entry((sight.id, sight.incarnation)).or_default();
            broken.check(sight.applied >= *seen, || {
                format!("coordinator {} went back from entry {seen} to {}", sight.id, sight.applied)
            });
            *seen = sight.applied;
        }
    }
}
