//! A term that a coordinator led in was on its disk before.

use std::collections::BTreeMap;
use std::time::Duration;

use cullet_coordinator::raft::NodeId;

use super::{Broken, Invariant, Sight};

/// Whoever led in a term knows of it for ever, through restarts and power cuts: its vote for itself was durable.
#[derive(Default)]
pub(super) struct NeverBack {
    led: BTreeMap<NodeId, u64>,
}

impl Invariant for NeverBack {
    fn look(&mut self, _: Duration, sights: &[Sight], broken: &Broken) {
        for sight in sights {
            let led = self.led.entry(sight.id).or_default();
            broken.check(sight.term >= *led, || {
                format!("coordinator {} led in term {led} and is in term {} now", sight.id, sight.term)
            });
            if sight.leads {
                *led = (*led).max(sight.term);
            }
        }
    }
}
