//! The handle that raft's store holds.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use bytes::Bytes;

use crate::disk::Disk;
use crate::pending::{self, Change, Pending};
use crate::planted::{self, Bug};
use crate::record;
use crate::shared::{Shared, lock};
use crate::snapshot::{SnapshotInfo, SnapshotReader, SnapshotWriter};
use crate::state::Plan;
use crate::types::{Done, Entry, LogId};
use crate::{Config, Error, Identity, OnFailure, Result, WriterMode, open, reading};

/// The log, the vote and the snapshots of one node.
///
/// Operations take effect in the order of the calls, for readers at once. An operation that returns an error has done
/// nothing and drops its `done`; otherwise `done` is called exactly once. An acknowledged operation means that all
/// before it are durable as well. Clones are the same log; the last one to go writes what is queued and ends the writer.
#[derive(Clone)]
pub struct Log(Arc<Owner>);

struct Owner {
    shared: Arc<Shared>,
    identity: Identity,
    recovery: Recovery,
    writer: Option<JoinHandle<()>>,
}

/// What opening the log had to mend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of a torn tail that were cut off.
    pub torn_bytes: u64,
    /// A damaged snapshot that was set aside because the log has everything since the one before.
    pub damaged_snapshot: Option<PathBuf>,
}

/// Counts since the log was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Operations acknowledged.
    pub operations: u64,
    /// Frames written, each with one sync.
    pub frames: u64,
    /// Bytes of these frames.
    pub bytes: u64,
    /// Weight of operations that are not acknowledged yet, bytes.
    pub waiting_bytes: usize,
}

impl Log {
    /// Opens the directory, or makes it with the identity, of which only the cluster counts if the directory has one
    /// already. Reads the whole log and the newest snapshot.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::OtherCluster`], [`Error::Corrupt`], [`Error::Version`], or what the disk says. Nothing
    /// was changed then but unfinished files, which are removed.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        identity: Identity,
        config: Config,
        on_failure: OnFailure,
    ) -> Result<Self> {
        let (shared, identity, recovery) = open::open(disk, dir, identity, config.bounded(), on_failure)?;
        let shared = Arc::new(shared);
        let writer = match shared.config.writer {
            WriterMode::Inline | WriterMode::Driven => None,
            WriterMode::Thread => {
                let shared = Arc::clone(&shared);
                let thread = std::thread::Builder::new().name("raft-log".to_owned());
                Some(thread.spawn(move || shared.run()).map_err(Error::io("start a thread for", dir))?)
            }
        };
        Ok(Self(Arc::new(Owner { shared, identity, recovery, writer })))
    }

    /// Writes one batch of what waits, in [`WriterMode::Driven`]. False where nothing does.
    pub fn write_next(&self) -> bool {
        self.0.shared.step()
    }

    /// Who this node is.
    pub fn identity(&self) -> Identity {
        self.0.identity
    }

    /// What opening had to mend.
    pub fn recovery(&self) -> &Recovery {
        &self.0.recovery
    }

    /// The last entry that can be read, or the last that was purged if there is none.
    pub fn last(&self) -> Option<LogId> {
        lock(&self.0.shared.state).last.clone()
    }

    /// The last entry that was purged.
    pub fn purged(&self) -> Option<LogId> {
        lock(&self.0.shared.state).purged.clone()
    }

    /// The newest durable vote.
    pub fn vote(&self) -> Option<Bytes> {
        lock(&self.0.shared.state).durable.vote.clone()
    }

    /// The newest committed point that was saved; after a restart it may be an older one. Never one behind the last
    /// entry: a full disk may have kept the point and lost the entries, and what comes before it is committed as well.
    pub fn committed(&self) -> Option<LogId> {
        let state = lock(&self.0.shared.state);
        let saved = state.committed.as_ref().or(state.durable.committed.as_ref())?;
        let last = state.last.as_ref()?;
        Some(if saved.index > last.index { last } else { saved }.clone())
    }

    /// Appends entries, which must follow the last one. They can be read when this returns. It waits while more than
    /// [`Config::queue_bytes`] are on their way to the disk.
    ///
    /// If it fails with [`Error::Full`], some of the first of many entries may stay, as after a crash: see
    /// [`Self::last`].
    ///
    /// # Errors
    /// [`Error::Gap`], [`Error::TooLarge`], [`Error::Closed`], or the log's first failure.
    pub fn append(&self, entries: Vec<Entry>, done: Done) -> Result<()> {
        entries.iter().try_for_each(|entry| record::check_size(Some(&entry.id), &entry.payload))?;
        let shared = &self.0.shared;
        let state = shared.ready()?;
        for (expected, entry) in (state.next()..).zip(&entries) {
            if entry.id.index != expected {
                return Err(Error::Gap { expected, given: entry.id.index });
            }
        }
        shared.submit(pending::in_batches(entries, done, shared.config.batch_bytes), state);
        Ok(())
    }

    /// Makes the vote durable.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Closed`], or the log's first failure.
    pub fn save_vote(&self, vote: Bytes, done: Done) -> Result<()> {
        record::check_size(None, &vote)?;
        if planted::is(Bug::LoseVotes) {
            done(Ok(()));
            return Ok(());
        }
        self.change(Change::Vote(vote), done)
    }

    /// Removes entries after the log id, or all; without any, the operations before are waited for.
    ///
    /// # Errors
    /// [`Error::Purged`], [`Error::TooLarge`], [`Error::Closed`], or the log's first failure.
    pub fn truncate_after(&self, id: Option<LogId>, done: Done) -> Result<()> {
        record::check_size(id.as_ref(), &[])?;
        if planted::is(Bug::KeepTail) {
            done(Ok(()));
            return Ok(());
        }
        let state = self.0.shared.ready()?;
        let (next, first) = (id.as_ref().map_or(0, LogId::next), state.first());
        let change = match id {
            Some(id) if next < first => return Err(Error::Purged { index: id.index, first }),
            _ if next >= state.next() => Change::Nothing,
            None => Change::TruncateAfter(state.purged.clone()),
            id => Change::TruncateAfter(id),
        };
        self.0.shared.submit(vec![Pending { change, done: Some(done) }], state);
        Ok(())
    }

    /// Forgets entries up to the log id, which may lie behind the last one (after a snapshot was installed). Segments
    /// that are not needed any more are removed afterwards.
    ///
    /// # Errors
    /// [`Error::NotCovered`], [`Error::TooLarge`], [`Error::Closed`], or the log's first failure.
    pub fn purge(&self, id: LogId, done: Done) -> Result<()> {
        record::check_size(Some(&id), &[])?;
        let newest = self.0.shared.snapshots.newest().map(|snapshot| snapshot.last.index);
        if newest.is_none_or(|newest| newest < id.index) {
            return Err(Error::NotCovered { index: id.index, newest });
        }
        let state = self.0.shared.ready()?;
        let change = if id.next() <= state.first() { Change::Nothing } else { Change::PurgeTo(id) };
        self.0.shared.submit(vec![Pending { change, done: Some(done) }], state);
        Ok(())
    }

    /// Notes that entries up to the log id are committed. It reaches the disk with whatever is written next.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Closed`], or the log's first failure.
    pub fn save_committed(&self, id: LogId) -> Result<()> {
        record::check_size(Some(&id), &[])?;
        let mut state = lock(&self.0.shared.state);
        state.check_open()?;
        state.committed = Some(id);
        Ok(())
    }

    /// Tells when everything before is durable.
    ///
    /// # Errors
    /// [`Error::Closed`], or the log's first failure.
    pub fn flush(&self, done: Done) -> Result<()> {
        self.change(Change::Nothing, done)
    }

    /// The entries of the range that are there, at most about `max_bytes` of them, but at least one.
    ///
    /// # Errors
    /// [`Error::Purged`] where the range begins before the log, [`Error::Corrupt`] where an entry is not what was
    /// written, the log's first failure, or what the disk says.
    pub fn read(&self, range: Range<u64>, max_bytes: usize) -> Result<Vec<Entry>> {
        let state = lock(&self.0.shared.state);
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        let Plan { stored, recent } = state.plan(range, max_bytes)?;
        drop(state);
        let mut entries = Vec::with_capacity(stored.len() + recent.len());
        reading::read(&stored, &mut entries)?;
        entries.extend(recent);
        Ok(entries)
    }

    /// The newest snapshot.
    pub fn newest_snapshot(&self) -> Option<SnapshotInfo> {
        self.0.shared.snapshots.newest()
    }

    /// Reads the newest snapshot.
    ///
    /// # Errors
    /// [`Error::Corrupt`], or what the disk says.
    pub fn read_snapshot(&self) -> Result<Option<SnapshotReader>> {
        self.0.shared.snapshots.read()
    }

    /// Begins a snapshot that says what entries up to `last` did. It is there when it is finished.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Full`], or the log's first failure.
    pub fn write_snapshot(&self, last: LogId, meta: Bytes) -> Result<SnapshotWriter> {
        SnapshotWriter::begin(Arc::clone(&self.0.shared), last, meta)
    }

    /// Counts since the log was opened.
    pub fn statistics(&self) -> Statistics {
        let counters = &self.0.shared.counters;
        Statistics {
            operations: counters.operations.load(Ordering::Relaxed),
            frames: counters.frames.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
            waiting_bytes: lock(&self.0.shared.state).waiting_bytes,
        }
    }

    fn change(&self, change: Change, done: Done) -> Result<()> {
        let state = self.0.shared.ready()?;
        self.0.shared.submit(vec![Pending { change, done: Some(done) }], state);
        Ok(())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.work.notify_all();
        match self.writer.take() {
            None if self.shared.config.writer == WriterMode::Driven => (),
            None => while self.shared.step() {},
            // A callback may hold the last handle; the thread ends by itself then.
            Some(writer) if writer.thread().id() == std::thread::current().id() => (),
            Some(writer) => drop(writer.join()),
        }
    }
}
