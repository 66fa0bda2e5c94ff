//! The tail of the log, in memory.

use std::collections::VecDeque;

use crate::types::Entry;

/// Entries up to the last one, without a gap.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    entries: VecDeque<Entry>,
    /// Index behind the last one.
    next: u64,
    bytes: usize,
}

impl Recent {
    /// Empty; `next` will be its first entry.
    pub(crate) fn at(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// Index of the first entry that is here.
    pub(crate) fn first(&self) -> u64 {
        self.next - self.entries.len() as u64
    }

    /// The entry must be the next one.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.bytes += entry.weight();
        self.next = entry.id.next();
        self.entries.push_back(entry);
    }

    pub(crate) fn get(&self, index: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(index.checked_sub(self.first())?).ok()?)
    }

    /// Forgets entries from `next` on.
    pub(crate) fn truncate(&mut self, next: u64) {
        while self.next > next {
            let Some(entry) = self.entries.pop_back() else { break };
            self.bytes -= entry.weight();
            self.next -= 1;
        }
        if self.entries.is_empty() {
            self.next = next;
        }
    }

    /// Forgets entries before `first`; if that is all of them, the log may go on at `next`.
    pub(crate) fn purge(&mut self, first: u64, next: u64) {
        while self.first() < first {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= entry.weight();
        }
        if self.entries.is_empty() {
            self.next = next;
        }
    }

    /// Forgets the oldest entries beyond `limit` bytes, but none from `keep` on.
    pub(crate) fn evict(&mut self, limit: usize, keep: u64) {
        while self.bytes > limit && self.first() < keep {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= entry.weight();
        }
    }
}

#[test]
fn it_holds_a_tail_within_its_bounds() {
    use bytes::Bytes;
    let entry = |index| Entry {
        id: crate::LogId { index, encoded: Bytes::new() },
        payload: Bytes::from_static(b"0123456789"),
    };
    let mut recent = Recent::at(5);
    (5..15).for_each(|index| recent.push(entry(index)));
    recent.evict(3 * entry(0).weight(), 11);
    assert_eq!((recent.first(), recent.get(11).map(|entry| entry.id.index)), (11, Some(11)));
    recent.evict(3 * entry(0).weight(), 15);
    assert_eq!((recent.first(), recent.get(11)), (12, None));
    recent.truncate(13);
    assert_eq!((recent.first(), recent.next), (12, 13));
    recent.truncate(7);
    assert_eq!((recent.first(), recent.next, recent.bytes), (7, 7, 0));
    recent.push(entry(7));
    recent.push(entry(8));
    recent.purge(8, 9);
    assert_eq!((recent.first(), recent.next), (8, 9));
    recent.purge(20, 20);
    assert_eq!((recent.first(), recent.bytes), (20, 0));
}
