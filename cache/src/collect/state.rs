//! How far garbage collection is, as the store says it to collectors and writers.

use bytes::Bytes;
use cullet_digest::DigestFunction;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::objects::{NameId, ObjectName};
use crate::{Area, Objects, RecordName, StoreError};

/// The state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Grows with each list of what is to be removed.
    pub(crate) epoch: u64,
    pub(crate) phase: Phase,
}

/// What is done at present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Nothing is to be removed.
    #[default]
    Idle,
    /// What is on the list is to be removed; who needs some of it says so.
    Announced,
    /// What is on the list is being removed. It was announced at this second of the Unix epoch, by the store's clock.
    Deleting { announced_s: u64 },
}

impl State {
    /// Whether something may have been removed between an earlier state and this one.
    pub(crate) fn may_have_removed_since(self, earlier: Self) -> bool {
        let announces_next = earlier.phase == Phase::Idle
            && self.phase == Phase::Announced
            && self.epoch == earlier.epoch.saturating_add(1);
        self != earlier && !announces_next
    }
}

/// Names that are to be removed: the first bytes of their ids, in order. Where two names have the same, both are on the list,
/// for collectors as well as for writers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Doomed(Vec<u64>);

/// The most names on a list: 8 MiB, which each writer reads once. What is more is for the next round.
pub(crate) const MOST_DOOMED: usize = 1_000_000;

impl Doomed {
    /// The first of these, up to the most there may be.
    pub(crate) fn new(names: impl IntoIterator<Item = NameId>) -> Self {
        let mut prefixes: Vec<u64> = names.into_iter().take(MOST_DOOMED).map(|id| prefix(&id)).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        Self(prefixes)
    }

    pub(crate) fn has(&self, id: &NameId) -> bool {
        self.0.binary_search(&prefix(id)).is_ok()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn prefix(id: &NameId) -> u64 {
    let mut prefix = [0; 8];
    prefix.copy_from_slice(&id[..8]);
    u64::from_be_bytes(prefix)
}

/// The record that is called so.
pub(crate) fn record_of(area: Area, called: &str) -> RecordName {
    RecordName::new(area, DigestFunction::Blake3.digest(format!("cullet {called}").as_bytes()))
}

pub(crate) fn state_name() -> RecordName {
    record_of(Area::Gc, "state of garbage collection")
}

pub(crate) fn list_name(epoch: u64) -> RecordName {
    record_of(Area::Gc, &format!("doomed {epoch}"))
}

/// What only those results need that are on the list of an epoch.
pub(crate) fn left_name(epoch: u64) -> RecordName {
    record_of(Area::Gc, &format!("left by {epoch}"))
}

/// The record that says that a writer needs this, in this epoch and no other.
pub(crate) fn rescue_name(epoch: u64, name: &ObjectName) -> RecordName {
    let about = DigestFunction::Blake3.digest(name.to_string().as_bytes());
    RecordName { area: Area::Rescue, scope: Some(epoch.to_be_bytes()), about }
}

/// What a rescue record is about.
pub(crate) fn rescued_by(marker: &RecordName) -> NameId {
    let mut id = NameId::default();
    id.copy_from_slice(&marker.about.hash()[..16]);
    id
}

/// The state of a store; idle where there was never another.
///
/// # Errors
/// Where it cannot be read, or is damaged: whoever guessed might remove what is needed.
pub(crate) async fn read(objects: &dyn Objects) -> Result<State, StoreError> {
    let Some(bytes) = objects.record(&state_name()).await? else { return Ok(State::default()) };
    open(&bytes).ok_or_else(|| damaged(objects, "the state of its garbage collection"))
}

/// The list of an epoch, if it is there.
///
/// # Errors
/// As for [`read`].
pub(crate) async fn read_list(objects: &dyn Objects, epoch: u64) -> Result<Option<Doomed>, StoreError> {
    names(objects, &list_name(epoch)).await
}

/// The names in one of these records, if it is there.
///
/// # Errors
/// As for [`read`].
pub(crate) async fn names(objects: &dyn Objects, list: &RecordName) -> Result<Option<Doomed>, StoreError> {
    let Some(bytes) = objects.record(list).await? else { return Ok(None) };
    open(&bytes).map(Some).ok_or_else(|| damaged(objects, "the list of what it removes"))
}

fn damaged(objects: &dyn Objects, what: &str) -> StoreError {
    let why = format!("{what} is damaged, or that of a newer version");
    StoreError::remote("read from", objects.place(), why)
}

const MAGIC: &[u8; 4] = b"cgc1";
const CHECKSUM: usize = 16;

/// A record of the collector: what it is, a checksum (BLAKE3, truncated), and postcard.
pub(crate) fn close<T: Serialize>(value: &T) -> Option<Bytes> {
    let payload = postcard::to_stdvec(value).ok()?;
    let sum = DigestFunction::Blake3.digest(&payload);
    Some([MAGIC.as_slice(), &sum.hash()[..CHECKSUM], &payload].concat().into())
}

/// What is in a record of the collector, if it is whole.
pub(crate) fn open<T: DeserializeOwned>(record: &Bytes) -> Option<T> {
    let (sum, payload) = record.strip_prefix(MAGIC.as_slice())?.split_at_checked(CHECKSUM)?;
    let is_whole = DigestFunction::Blake3.digest(payload).hash()[..CHECKSUM] == *sum;
    is_whole.then(|| postcard::from_bytes(payload).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_and_damaged_ones_are_none() {
        let state = State { epoch: 7, phase: Phase::Deleting { announced_s: 12 } };
        let record = close(&state).unwrap();
        assert_eq!(open(&record), Some(state));
        for bit in 0..record.len() * 8 {
            let mut flipped = record.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open::<State>(&flipped.into()), None, "{bit}");
        }
        for len in 0..record.len() {
            assert_eq!(open::<State>(&record.slice(..len)), None, "{len}");
        }
    }

    #[test]
    fn only_between_an_announcement_and_the_next_is_nothing_removed() {
        let state = |epoch, phase| State { epoch, phase };
        let deleting = Phase::Deleting { announced_s: 12 };
        let idle = state(3, Phase::Idle);
        assert!(!idle.may_have_removed_since(idle));
        assert!(!state(4, Phase::Announced).may_have_removed_since(idle));
        for later in [state(4, deleting), state(4, Phase::Idle), state(5, Phase::Announced)] {
            assert!(later.may_have_removed_since(idle), "{later:?}");
        }
        let announced = state(4, Phase::Announced);
        assert!(!announced.may_have_removed_since(announced));
        for later in [state(4, deleting), state(4, Phase::Idle), state(5, Phase::Announced)] {
            assert!(later.may_have_removed_since(announced), "{later:?}");
        }
    }

    #[test]
    fn a_list_has_what_was_put_on_it() {
        let id = |number: u8| [number; 16];
        let doomed = Doomed::new([id(3), id(1), id(3)]);
        let doomed: Doomed = open(&close(&doomed).unwrap()).unwrap();
        assert_eq!(doomed.len(), 2);
        assert_eq!([1, 2, 3].map(|number| doomed.has(&id(number))), [true, false, true]);
    }

    #[test]
    fn a_marker_says_what_it_is_about() {
        let name = ObjectName::Data(DigestFunction::Sha256.digest(b"x"));
        assert_eq!(rescued_by(&rescue_name(3, &name)), name.id());
        assert_ne!(rescue_name(3, &name), rescue_name(4, &name));
    }
}
