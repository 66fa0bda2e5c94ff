//! Runs of which only the id is known any more.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize, Serializer};

use crate::RunId;

/// Ids that are remembered. Twenty times as many as runs that are kept at first, so that a submission that is repeated
/// for days is recognised; at some 60 bytes in memory and 19 in a snapshot each they take little beside those.
const MOST: usize = 200_000;

/// A submission that is repeated after its run is gone must not start it again: it may have acted on the outside world.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "VecDeque<RunId>")]
pub(crate) struct Forgotten {
    /// In the order in which they were forgotten. All that is written into snapshots.
    line: VecDeque<RunId>,
    /// The same ones, to be found.
    known: BTreeSet<RunId>,
}

impl Serialize for Forgotten {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.line.serialize(serializer)
    }
}

impl From<VecDeque<RunId>> for Forgotten {
    fn from(line: VecDeque<RunId>) -> Self {
        Self { known: line.iter().copied().collect(), line }
    }
}

impl Forgotten {
    pub(crate) fn contains(&self, run: RunId) -> bool {
        self.known.contains(&run)
    }

    /// Remembers one more, instead of the oldest one where there are too many.
    pub(crate) fn push(&mut self, run: RunId) {
        if !self.known.insert(run) {
            return;
        }
        self.line.push_back(run);
        if self.line.len() > MOST
            && let Some(oldest) = self.line.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_ids_make_room_and_a_snapshot_has_them_once() {
        let mut forgotten = Forgotten::default();
        for run in 0..=MOST as u128 {
            forgotten.push(RunId(run));
        }
        assert!(!forgotten.contains(RunId(0)) && forgotten.contains(RunId(1)));
        assert_eq!((forgotten.line.len(), forgotten.known.len()), (MOST, MOST));
        let snapshot = postcard::to_allocvec(&forgotten).unwrap();
        assert!(snapshot.len() < 20 * MOST, "{} bytes", snapshot.len());
        assert_eq!(postcard::from_bytes::<Forgotten>(&snapshot).unwrap(), forgotten);
    }

    #[test]
    fn one_that_is_known_keeps_its_place() {
        let mut forgotten = Forgotten::default();
        for run in [1, 2, 1] {
            forgotten.push(RunId(run));
        }
        assert_eq!(forgotten.line, [RunId(1), RunId(2)]);
    }
}
