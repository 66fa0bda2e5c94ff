//! What the log's files say.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::record::{Kind, Record};
use crate::types::LogId;

/// Where an entry's record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) len: u32,
}

/// The log as its records have made it. It holds 24 bytes for every entry that is not purged, which the owner's
/// snapshots keep few.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durable {
    /// Index of the first location.
    base: u64,
    at: VecDeque<Location>,
    newest: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    pub(crate) vote: Option<Bytes>,
    pub(crate) committed: Option<LogId>,
}

impl Durable {
    /// Before the records of a segment that was begun when `next` was the next index.
    pub(crate) fn beginning_at(next: u64) -> Self {
        Self { base: next, ..Self::default() }
    }

    /// What a segment begun now carries on.
    pub(crate) fn without_entries(&self) -> Self {
        Self {
            purged: self.purged.clone(),
            vote: self.vote.clone(),
            committed: self.committed.clone(),
            ..Self::beginning_at(self.next())
        }
    }

    /// The index that may be appended.
    pub(crate) fn next(&self) -> u64 {
        self.base + self.at.len() as u64
    }

    /// The first index that is not purged.
    pub(crate) fn first(&self) -> u64 {
        self.purged.as_ref().map_or(0, |id| id.next())
    }

    /// The last entry, or where the last one was purged.
    pub(crate) fn last(&self) -> Option<&LogId> {
        if self.at.is_empty() { self.purged.as_ref() } else { self.newest.as_ref() }
    }

    /// True where every entry that is not purged has a location.
    pub(crate) fn is_complete(&self) -> bool {
        self.base == self.first()
    }

    pub(crate) fn locate(&self, index: u64) -> Option<Location> {
        self.at.get(usize::try_from(index.checked_sub(self.base)?).ok()?).copied()
    }

    /// The first segment that has something in it that is needed; None where no entry is needed.
    pub(crate) fn first_segment(&self) -> Option<u64> {
        self.at.front().map(|location| location.segment)
    }

    /// Applies a record that was read; the error says why it cannot be there.
    pub(crate) fn apply(&mut self, record: Record, location: Location) -> Result<(), &'static str> {
        match (record.kind, record.id) {
            (Kind::Entry, Some(id)) if id.index == self.next() => self.append(&id, location),
            (Kind::Entry, _) => return Err("an entry does not follow the one before it"),
            (Kind::Vote, _) => self.vote = Some(Bytes::copy_from_slice(&record.data)),
            (Kind::TruncateAfter, id) => {
                let next = id.as_ref().map_or(0, |id| id.next());
                if next < self.first() || next > self.next() {
                    return Err("a truncation is outside of the log");
                }
                self.truncate_after(id.as_ref());
            }
            (Kind::PurgeTo, Some(id)) if id.next() >= self.first() => self.purge_to(&id),
            (Kind::Committed, Some(id)) => self.committed = Some(id.detached()),
            (Kind::PurgeTo | Kind::Committed, _) => return Err("a record does not fit its log"),
        }
        Ok(())
    }

    pub(crate) fn append(&mut self, id: &LogId, location: Location) {
        self.at.push_back(location);
        self.newest = Some(id.detached());
    }

    /// The log id must not be before the purge point.
    pub(crate) fn truncate_after(&mut self, id: Option<&LogId>) {
        let next = id.map_or(0, |id| id.next());
        if next <= self.base {
            self.at.clear();
            self.base = next;
        } else {
            self.at.truncate((next - self.base) as usize);
        }
        self.newest = id.map(LogId::detached);
    }

    /// A purge point behind the last entry is where the log goes on.
    pub(crate) fn purge_to(&mut self, id: &LogId) {
        let first = id.next();
        if first >= self.next() {
            self.at.clear();
            self.base = first;
        } else if first > self.base {
            self.at.drain(..(first - self.base) as usize);
            self.base = first;
        }
        self.purged = Some(id.detached());
    }
}

#[test]
fn a_log_without_its_first_segments_is_complete_once_they_are_purged() {
    let id = |index| LogId { index, encoded: Bytes::from_static(b"t") };
    let place = Location { segment: 2, offset: 0, len: 0 };
    let mut log = Durable::beginning_at(10);
    log.append(&id(10), place);
    log.truncate_after(Some(&id(4)));
    assert_eq!((log.next(), log.locate(10)), (5, None));
    log.append(&id(5), place);
    assert!(!log.is_complete());
    log.purge_to(&id(4));
    assert!(log.is_complete());
    assert_eq!((log.locate(5), log.last()), (Some(place), Some(&id(5))));
    log.purge_to(&id(9));
    assert_eq!((log.first(), log.next(), log.last()), (10, 10, Some(&id(9))));
    assert!(log.is_complete());
}
