//! Operations on their way to the disk.

use bytes::Bytes;

use crate::types::{Done, Entry, LogId};

/// What is to be written.
pub(crate) enum Change {
    Append(Vec<Entry>),
    Vote(Bytes),
    TruncateAfter(Option<LogId>),
    PurgeTo(LogId),
    /// Only to be told when everything before is durable.
    Nothing,
}

/// An operation and who is told of its end.
pub(crate) struct Pending {
    pub(crate) change: Change,
    pub(crate) done: Option<Done>,
}

impl Pending {
    /// Bytes it takes in memory or in a frame, near enough for bounds and not less than the latter.
    pub(crate) fn weight(&self) -> usize {
        const OPERATION: usize = 64;
        OPERATION
            + match &self.change {
                Change::Append(entries) => entries.iter().map(Entry::weight).sum(),
                Change::Vote(vote) => vote.len(),
                Change::TruncateAfter(id) => id.as_ref().map_or(0, |id| id.encoded.len()),
                Change::PurgeTo(id) => id.encoded.len(),
                Change::Nothing => 0,
            }
    }

    /// The lowest index whose entry is another one after it.
    pub(crate) fn changes_from(&self) -> Option<u64> {
        match &self.change {
            Change::Append(entries) => Some(entries.first()?.id.index),
            Change::TruncateAfter(id) => Some(id.as_ref().map_or(0, |id| id.next())),
            Change::Vote(_) | Change::PurgeTo(_) | Change::Nothing => None,
        }
    }
}

/// The entries in operations that each fit in a frame; the last one tells.
pub(crate) fn in_batches(entries: Vec<Entry>, done: Done, limit_bytes: usize) -> Vec<Pending> {
    let mut batches = vec![Vec::new()];
    let mut bytes = 0;
    for entry in entries {
        bytes += entry.weight();
        match batches.last_mut() {
            Some(batch) if batch.is_empty() || bytes <= limit_bytes => batch.push(entry),
            _ => {
                bytes = entry.weight();
                batches.push(vec![entry]);
            }
        }
    }
    let change = |batch: Vec<Entry>| if batch.is_empty() { Change::Nothing } else { Change::Append(batch) };
    let mut pending: Vec<_> =
        batches.into_iter().map(|batch| Pending { change: change(batch), done: None }).collect();
    if let Some(last) = pending.last_mut() {
        last.done = Some(done);
    }
    pending
}
