//! What several tests need: a log on a disk in memory, and a model of what it has to hold.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part, and a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cullet_raft_log::simulation::FaultyDisk;
use cullet_raft_log::{
    ClusterId, Config, Disk, Done, Entry, Error, Identity, Log, LogId, Result, WriterMode,
};

pub const DIR: &str = "/data";
pub const IDENTITY: Identity = Identity { cluster: ClusterId([7; 16]), node: 42 };

pub fn small() -> Config {
    Config {
        segment_bytes: 2000,
        reserve_bytes: 0,
        cache_bytes: 700,
        batch_bytes: 1500,
        queue_bytes: 1 << 20,
        writer: WriterMode::Inline,
    }
}

/// [`small`] with room behind the last frame, or with little, or none.
pub fn reserving(seed: u64) -> Config {
    Config { reserve_bytes: [0, 400, 2000][(seed % 3) as usize], ..small() }
}

pub fn open(disk: &FaultyDisk) -> Result<Log> {
    open_as(disk, small())
}

pub fn open_as(disk: &FaultyDisk, config: Config) -> Result<Log> {
    open_with(Arc::new(disk.clone()), Path::new(DIR), config)
}

pub fn open_with(disk: Arc<dyn Disk>, dir: &Path, config: Config) -> Result<Log> {
    Log::open(disk, dir, IDENTITY, config, Box::new(|_| ()))
}

pub fn id(index: u64, term: u64) -> LogId {
    LogId { index, encoded: format!("t{term}").into() }
}

pub fn entry(index: u64, term: u64, len: usize) -> Entry {
    let byte = (index * 31 + term * 7) as u8;
    // Zeros at times: data that looks like a sector that was never written.
    let payload = if index.is_multiple_of(3) { vec![0; len] } else { vec![byte; len] };
    Entry { id: id(index, term), payload: payload.into() }
}

/// Where a callback's result goes.
pub fn told() -> (Done, Receiver<Result<()>>) {
    let (sender, receiver) = channel();
    (Box::new(move |result| sender.send(result).unwrap()), receiver)
}

/// Does something and waits for what came of it.
pub fn wait(act: impl FnOnce(Done) -> Result<()>) -> Result<()> {
    let (done, receiver) = told();
    act(done)?;
    receiver.recv().unwrap()
}

/// Remembers what the log says when it fails for good.
pub fn remember(failures: &Arc<Mutex<Vec<Error>>>) -> Box<dyn Fn(&Error) + Send + Sync> {
    let failures = Arc::clone(failures);
    Box::new(move |error| failures.lock().unwrap().push(error.clone()))
}

/// One step of a history.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// This many entries of this length.
    Append(u8, u16),
    Vote(u8),
    /// Cut off this many entries.
    Truncate(u8),
    /// Snapshot and purge all but this many entries.
    Purge(u8),
    /// Snapshot and purge to this far behind the last entry, as when a snapshot comes from another node.
    Jump(u8),
    Commit,
}

/// What the log must say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    pub entries: BTreeMap<u64, Entry>,
    pub purged: Option<LogId>,
    pub vote: Option<Bytes>,
    pub term: u64,
}

impl Model {
    pub fn of(log: &Log) -> Self {
        let first = log.purged().map_or(0, |id| id.index + 1);
        let entries = log.read(first..u64::MAX, usize::MAX).unwrap();
        let last = entries.last().map(|entry| entry.id.clone()).or(log.purged());
        assert_eq!(log.last(), last);
        let indexes: Vec<_> = entries.iter().map(|entry| entry.id.index).collect();
        assert_eq!(indexes, (first..first + entries.len() as u64).collect::<Vec<_>>());
        let covered = log.newest_snapshot().map(|snapshot| snapshot.last.index);
        assert!(log.purged().map(|id| id.index) <= covered, "purged without a snapshot");
        let entries = entries.into_iter().map(|entry| (entry.id.index, entry)).collect();
        Self { entries, purged: log.purged(), vote: log.vote(), term: 0 }
    }

    /// Terms only tell entries at one index apart.
    pub fn same(&self, other: &Self) -> bool {
        (&self.entries, &self.purged, &self.vote) == (&other.entries, &other.purged, &other.vote)
    }

    /// All of the acknowledged, and of the attempted everything, nothing, or the first of its entries.
    pub fn is_between(&self, acknowledged: &Self, attempted: &Self) -> bool {
        let has = |of: &Self, (index, entry): (&u64, &Entry)| of.entries.get(index) == Some(entry);
        let is_prefix = (&self.purged, &self.vote) == (&acknowledged.purged, &acknowledged.vote)
            && acknowledged.entries.iter().all(|entry| has(self, entry))
            && self.entries.iter().all(|entry| has(attempted, entry));
        is_prefix || self.same(acknowledged) || self.same(attempted)
    }

    pub fn next(&self) -> u64 {
        let purged = self.purged.as_ref().map_or(0, |id| id.index + 1);
        self.entries.keys().next_back().map_or(purged, |index| index + 1)
    }

    /// After the step.
    pub fn after(&self, step: Step) -> Self {
        let mut after = self.clone();
        after.term += 1;
        match step {
            Step::Append(..) => {
                let entries = after.new_entries(step);
                after.entries.extend(entries.into_iter().map(|entry| (entry.id.index, entry)));
            }
            Step::Vote(vote) => after.vote = Some(vec![vote; 9].into()),
            Step::Truncate(_) => {
                drop(after.entries.split_off(&self.truncation(step).map_or(0, |id| id.index + 1)))
            }
            Step::Purge(_) | Step::Jump(_) => {
                if let Some(to) = self.purge_point(step) {
                    after.entries = after.entries.split_off(&(to.index + 1));
                    after.purged = Some(to);
                }
            }
            Step::Commit => (),
        }
        after
    }

    fn new_entries(&self, step: Step) -> Vec<Entry> {
        let Step::Append(count, len) = step else { return Vec::new() };
        (self.next()..).take(count.into()).map(|index| entry(index, self.term, len.into())).collect()
    }

    fn id_at(&self, index: u64) -> LogId {
        self.entries.get(&index).map_or_else(|| id(index, self.term), |entry| entry.id.clone())
    }

    fn truncation(&self, step: Step) -> Option<LogId> {
        let Step::Truncate(back) = step else { return None };
        let first = self.purged.as_ref().map_or(0, |id| id.index + 1);
        let next = self.next().saturating_sub(back.into()).max(first);
        if next == first { self.purged.clone() } else { Some(self.id_at(next - 1)) }
    }

    fn purge_point(&self, step: Step) -> Option<LogId> {
        let first = self.purged.as_ref().map_or(0, |id| id.index + 1);
        let next = match step {
            Step::Purge(kept) => self.next().saturating_sub(kept.into()),
            Step::Jump(far) => self.next() + u64::from(far),
            _ => 0,
        };
        (next > first).then(|| self.id_at(next - 1))
    }

    /// Does the step to the log; the model is the one before it.
    pub fn perform(&self, log: &Log, step: Step) -> Result<()> {
        let later = Self { term: self.term + 1, ..self.clone() };
        match step {
            Step::Append(..) => wait(|done| log.append(later.new_entries(step), done)),
            Step::Vote(vote) => wait(|done| log.save_vote(vec![vote; 9].into(), done)),
            Step::Truncate(_) => wait(|done| log.truncate_after(self.truncation(step), done)),
            Step::Commit => log.last().map_or(Ok(()), |last| log.save_committed(last)),
            Step::Purge(_) | Step::Jump(_) => {
                let Some(to) = self.purge_point(step) else { return Ok(()) };
                let mut snapshot = log.write_snapshot(to.clone(), Bytes::from_static(b"meta"))?;
                snapshot.write(&vec![9; 700])?;
                snapshot.finish()?;
                wait(|done| log.purge(to, done))
            }
        }
    }
}

/// A history of steps, the same for the same seed.
pub fn history(seed: u64, steps: usize) -> Vec<Step> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut draw = |limit: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % limit
    };
    let mut step = || match draw(12) {
        0..=5 => Step::Append(1 + draw(4) as u8, draw(900) as u16),
        6 | 7 => Step::Vote(draw(256) as u8),
        8 => Step::Truncate(draw(4) as u8),
        9 => Step::Purge(draw(4) as u8),
        10 => Step::Jump(draw(3) as u8),
        _ => Step::Commit,
    };
    (0..steps).map(|_| step()).collect()
}
