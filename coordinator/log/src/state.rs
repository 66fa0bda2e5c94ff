//! The log as its callers see it, ahead of the disk by what is on its way there.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use crate::durable::{Durable, Location};
use crate::pending::{Change, Pending};
use crate::recent::Recent;
use crate::segment::Segment;
use crate::types::{Entry, LogId};
use crate::{Error, Result};

/// Operations written as one frame at most.
const BATCH_OPERATIONS: usize = 1024;

/// What a caller sees at once, and what the writer has still to do.
#[derive(Debug)]
pub(crate) struct State {
    /// What the files say.
    pub(crate) durable: Durable,
    pub(crate) segments: BTreeMap<u64, Arc<Segment>>,
    /// The last entry, or where the last one was purged.
    pub(crate) last: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    /// The lowest index whose entry the files do not have as it is. It and those behind it are in `recent`.
    changed_from: u64,
    recent: Recent,
    queue: VecDeque<Pending>,
    /// Weight of what is queued or being written.
    pub(crate) waiting_bytes: usize,
    /// A committed point that goes to disk with the next frame. It is not worth a sync: an older one is true as well.
    pub(crate) committed: Option<LogId>,
    pub(crate) failed: Option<Error>,
    pub(crate) closed: bool,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("weight", &self.weight()).finish_non_exhaustive()
    }
}

/// What the writer takes at once.
pub(crate) struct Batch {
    pub(crate) operations: Vec<Pending>,
    pub(crate) committed: Option<LogId>,
    pub(crate) weight: usize,
}

impl Batch {
    /// True where there is nothing to write.
    pub(crate) fn says_nothing(&self) -> bool {
        let says_nothing = |pending: &Pending| matches!(pending.change, Change::Nothing);
        self.committed.is_none() && self.operations.iter().all(says_nothing)
    }
}

/// Where an entry is in the files.
pub(crate) struct Stored {
    pub(crate) index: u64,
    pub(crate) location: Location,
    pub(crate) segment: Arc<Segment>,
}

/// Where the entries of a range are.
#[derive(Default)]
pub(crate) struct Plan {
    /// In files, in order.
    pub(crate) stored: Vec<Stored>,
    /// Those behind them, in memory.
    pub(crate) recent: Vec<Entry>,
}

impl State {
    pub(crate) fn new(durable: Durable, segments: BTreeMap<u64, Arc<Segment>>) -> Self {
        Self {
            last: durable.last().cloned(),
            purged: durable.purged.clone(),
            changed_from: durable.next(),
            recent: Recent::at(durable.next()),
            durable,
            segments,
            queue: VecDeque::new(),
            waiting_bytes: 0,
            committed: None,
            failed: None,
            closed: false,
        }
    }

    /// The index that may be appended.
    pub(crate) fn next(&self) -> u64 {
        self.last.as_ref().map_or(0, LogId::next)
    }

    /// The first index that is not purged.
    pub(crate) fn first(&self) -> u64 {
        self.purged.as_ref().map_or(0, LogId::next)
    }

    /// Fails where no operation is accepted any more.
    pub(crate) fn check_open(&self) -> Result<()> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.closed => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// Makes the operation visible, and the writer's task.
    pub(crate) fn accept(&mut self, pending: Pending) {
        match &pending.change {
            Change::Append(entries) => {
                for entry in entries {
                    self.last = Some(entry.id.clone());
                    self.recent.push(entry.clone());
                }
            }
            Change::TruncateAfter(id) => {
                self.last = id.clone();
                self.recent.truncate(self.next());
            }
            Change::PurgeTo(id) => {
                let next = self.next();
                self.purged = Some(id.clone());
                if id.next() >= next {
                    self.last = Some(id.clone());
                }
                self.recent.purge(self.first(), self.next());
            }
            Change::Vote(_) | Change::Nothing => (),
        }
        if let Some(index) = pending.changes_from() {
            self.changed_from = self.changed_from.min(index);
        }
        self.waiting_bytes += pending.weight();
        self.queue.push_back(pending);
    }

    /// What to write next, in order. None where nothing waits.
    pub(crate) fn take(&mut self, limit_bytes: usize) -> Option<Batch> {
        // A committed point alone is written when the log is closed.
        if self.queue.is_empty() && !(self.closed && self.committed.is_some()) {
            return None;
        }
        let mut batch = Batch { operations: Vec::new(), committed: self.committed.take(), weight: 0 };
        while let Some(first) = self.queue.front() {
            let weight = first.weight();
            let is_full = batch.weight + weight > limit_bytes || batch.operations.len() == BATCH_OPERATIONS;
            if is_full && !batch.operations.is_empty() {
                break;
            }
            batch.weight += weight;
            batch.operations.extend(self.queue.pop_front());
        }
        Some(batch)
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The batch is durable, its entries at the locations. Returns segments that are not needed any more.
    pub(crate) fn settle(&mut self, batch: &Batch, locations: Vec<Location>) -> Vec<Arc<Segment>> {
        let mut locations = locations.into_iter();
        for pending in &batch.operations {
            match &pending.change {
                Change::Append(entries) => {
                    let placed = entries.iter().zip(locations.by_ref());
                    placed.for_each(|(entry, location)| self.durable.append(&entry.id, location));
                }
                Change::Vote(vote) => self.durable.vote = Some(vote.clone()),
                Change::TruncateAfter(id) => self.durable.truncate_after(id.as_ref()),
                Change::PurgeTo(id) => self.durable.purge_to(id),
                Change::Nothing => (),
            }
        }
        if let Some(id) = &batch.committed {
            self.durable.committed = Some(id.detached());
        }
        self.waiting_bytes = self.waiting_bytes.saturating_sub(batch.weight);
        let pending = self.queue.iter().filter_map(Pending::changes_from).min();
        self.changed_from = pending.unwrap_or(u64::MAX).min(self.durable.next());
        self.unneeded_segments()
    }

    /// Whole segments before the first that is needed. The newest stays.
    fn unneeded_segments(&mut self) -> Vec<Arc<Segment>> {
        let Some(&newest) = self.segments.keys().next_back() else { return Vec::new() };
        let needed = self.durable.first_segment().unwrap_or(newest);
        let kept = self.segments.split_off(&needed);
        std::mem::replace(&mut self.segments, kept).into_values().collect()
    }

    /// Forgets everything that is not durable, and returns what was waiting.
    pub(crate) fn roll_back(&mut self) -> Vec<Pending> {
        self.last = self.durable.last().cloned();
        self.purged.clone_from(&self.durable.purged);
        self.changed_from = self.durable.next();
        self.recent = Recent::at(self.durable.next());
        self.waiting_bytes = 0;
        self.queue.drain(..).collect()
    }

    pub(crate) fn evict(&mut self, limit_bytes: usize) {
        self.recent.evict(limit_bytes, self.changed_from);
    }

    /// Where the entries of the range are, as many as fit in `max_bytes`, but one at least. Indexes behind the last
    /// entry are left out.
    pub(crate) fn plan(&self, range: Range<u64>, max_bytes: usize) -> Result<Plan> {
        let first = self.first();
        if range.start < first && range.start < range.end {
            return Err(Error::Purged { index: range.start, first });
        }
        let mut plan = Plan::default();
        let mut bytes = 0;
        for index in range.start..range.end.min(self.next()) {
            let recent = self.recent.get(index);
            let stored = if recent.is_some() { None } else { self.stored(index) };
            bytes += recent.map_or(0, Entry::weight)
                + stored.as_ref().map_or(0, |stored| stored.location.len as usize);
            if bytes > max_bytes && index > range.start {
                break;
            }
            match (recent, stored) {
                (Some(entry), _) => plan.recent.push(entry.clone()),
                (None, Some(stored)) => plan.stored.push(stored),
                // An answer has no hole in it.
                (None, None) => break,
            }
        }
        Ok(plan)
    }

    fn stored(&self, index: u64) -> Option<Stored> {
        let location = self.durable.locate(index)?;
        let segment = Arc::clone(self.segments.get(&location.segment)?);
        Some(Stored { index, location, segment })
    }
}
