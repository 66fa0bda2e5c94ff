//! All apply the same.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Broken, Invariant, Sight};

/// After the same entry, whoever applied it has the same history of commands and effects.
#[derive(Default)]
pub(super) struct TheSameEverywhere {
    hashes: BTreeMap<u64, [u8; 32]>,
}

impl Invariant for TheSameEverywhere {
    fn look(&mut self, _: Duration, sights: &[Sight], broken: &Broken) {
        for sight in sights {
            let known = *self.hashes.entry(sight.applied).or_insert(sight.log_hash);
            broken.check(known == sight.log_hash, || {
                format!("coordinator {} has another history up to entry {}", sight.id, sight.applied)
            });
        }
    }
}
