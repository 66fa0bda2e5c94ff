//! A leadership belongs to one process.

use std::collections::BTreeMap;
use std::time::Duration;

use cullet_coordinator::raft::NodeId;

use super::{Broken, Invariant, Sight};

/// A process that leads was elected, in a term in which no earlier process of its coordinator led: what that one had
/// sent may be more than what is left of it. Two coordinators may lead in a term, one after the other: raft, as it is
/// used here, orders leaders by term and then by number.
#[derive(Default)]
pub(super) struct OneProcess {
    leaders: BTreeMap<(u64, NodeId), u64>,
}

impl Invariant for OneProcess {
    fn look(&mut self, _: Duration, sights: &[Sight], broken: &Broken) {
        for sight in sights.iter().filter(|sight| sight.leads) {
            let process = *self.leaders.entry((sight.term, sight.id)).or_insert(sight.incarnation);
            broken.check(process == sight.incarnation, || {
                format!("coordinator {} leads in term {} again after it was restarted", sight.id, sight.term)
            });
        }
    }
}
