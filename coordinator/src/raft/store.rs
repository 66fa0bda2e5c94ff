//! The durable log, as raft wants it.

use std::fmt;
use std::io;
use std::ops::{Bound, RangeBounds};

use cullet_raft_log::{Entry, Log};
use futures_util::Stream;
use openraft::alias::{EntryOf, LogIdOf, VoteOf};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use super::stored;
use super::types::Types;

/// Bytes of entries in one message to a follower, so that a batch of large submissions is sent in several.
const MAX_READ: usize = 8 << 20;

/// Raft's log on this node's disk.
#[derive(Clone)]
pub(super) struct Store {
    log: Log,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    pub(super) const fn new(log: Log) -> Self {
        Self { log }
    }

    /// Waits until an operation is on the disk.
    async fn durable(
        &self,
        start: impl FnOnce(&Log, cullet_raft_log::Done) -> cullet_raft_log::Result<()>,
    ) -> io::Result<()> {
        let (sender, receiver) = oneshot::channel();
        // Nobody waits any more where the receiver is gone.
        start(&self.log, Box::new(move |result| drop(sender.send(result)))).map_err(other)?;
        receiver.await.map_err(|_| io::Error::other("the log's writer ended"))?.map_err(other)
    }

    fn read(&self, range: std::ops::Range<u64>, max_bytes: usize) -> io::Result<Vec<EntryOf<Types>>> {
        let entries = self.log.read(range, max_bytes).map_err(other)?;
        entries.iter().map(decode).collect()
    }

    fn read_all(&self, mut range: std::ops::Range<u64>) -> io::Result<Vec<EntryOf<Types>>> {
        let mut entries = Vec::new();
        while !range.is_empty() {
            let read = self.read(range.clone(), MAX_READ)?;
            let Some(last) = read.last() else { break };
            range.start = last.log_id.index + 1;
            entries.extend(read);
        }
        Ok(entries)
    }
}

/// An error of the log in the terms of the library.
pub(super) fn other(error: cullet_raft_log::Error) -> io::Error {
    io::Error::other(error)
}

pub(super) fn wire_id(id: &LogIdOf<Types>) -> io::Result<cullet_raft_log::LogId> {
    let encoded = postcard::to_stdvec(id).map_err(io::Error::other)?;
    Ok(cullet_raft_log::LogId { index: id.index, encoded: encoded.into() })
}

fn decode_id(id: &cullet_raft_log::LogId) -> io::Result<LogIdOf<Types>> {
    postcard::from_bytes(&id.encoded).map_err(io::Error::other)
}

fn encode(entry: &EntryOf<Types>) -> io::Result<Entry> {
    let payload = stored::encode(&entry.payload)?;
    Ok(Entry { id: wire_id(&entry.log_id)?, payload: payload.into() })
}

fn decode(entry: &Entry) -> io::Result<EntryOf<Types>> {
    let payload = stored::decode(&entry.payload)?;
    Ok(EntryOf::<Types> { log_id: decode_id(&entry.id)?, payload })
}

/// Entries that were taken to be there and are not: a full disk did not take them.
fn lost(range: std::ops::Range<u64>) -> io::Error {
    let std::ops::Range { start, end } = range;
    io::Error::new(io::ErrorKind::NotFound, format!("entries {start}..{end} never reached the disk"))
}

fn bounds(range: &impl RangeBounds<u64>) -> std::ops::Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(end) => end.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    start..end.max(start)
}

impl RaftLogReader<Types> for Store {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + fmt::Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<EntryOf<Types>>, io::Error> {
        self.read_all(bounds(&range))
    }

    /// For applying: each entry of the range, or an error. What a full disk lost must not count as applied.
    async fn entries_stream<R>(
        &mut self,
        range: R,
    ) -> impl Stream<Item = Result<EntryOf<Types>, io::Error>> + OptionalSend
    where
        R: RangeBounds<u64> + Clone + fmt::Debug + OptionalSend,
    {
        let range = bounds(&range);
        let read = self.read_all(range.clone());
        let found = read.as_ref().map_or(range.start, |entries| range.start + entries.len() as u64);
        let lost = (read.is_ok() && found < range.end).then(|| lost(found..range.end));
        let entries = read.map_or_else(|error| vec![Err(error)], |read| read.into_iter().map(Ok).collect());
        futures_util::stream::iter(entries.into_iter().chain(lost.map(Err)))
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types>>, io::Error> {
        self.log.vote().map(|vote| postcard::from_bytes(&vote).map_err(io::Error::other)).transpose()
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<EntryOf<Types>>, io::Error> {
        let entries = self.read(start..end, MAX_READ)?;
        // The library takes nothing for a heartbeat and asks again, for as long as the process lives, and no other
        // coordinator is elected meanwhile.
        if entries.is_empty() && start < end { Err(lost(start..end)) } else { Ok(entries) }
    }
}

impl RaftLogStorage<Types> for Store {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        Ok(LogState {
            last_purged_log_id: self.log.purged().as_ref().map(decode_id).transpose()?,
            last_log_id: self.log.last().as_ref().map(decode_id).transpose()?,
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types>) -> Result<(), io::Error> {
        let vote = postcard::to_stdvec(vote).map_err(io::Error::other)?;
        self.durable(|log, done| log.save_vote(vote.into(), done)).await
    }

    async fn save_committed(&mut self, committed: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        match committed {
            Some(committed) => self.log.save_committed(wire_id(&committed)?).map_err(other),
            None => Ok(()),
        }
    }

    async fn read_committed(&mut self) -> Result<Option<LogIdOf<Types>>, io::Error> {
        self.log.committed().as_ref().map(decode_id).transpose()
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<Types>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().map(|entry| encode(&entry)).collect::<io::Result<Vec<_>>>()?;
        let done =
            Box::new(move |result: cullet_raft_log::Result<()>| callback.io_completed(result.map_err(other)));
        self.log.append(entries, done).map_err(other)
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types>>) -> Result<(), io::Error> {
        let last = last.as_ref().map(wire_id).transpose()?;
        self.durable(|log, done| log.truncate_after(last, done)).await
    }

    async fn purge(&mut self, upto: LogIdOf<Types>) -> Result<(), io::Error> {
        let upto = wire_id(&upto)?;
        self.durable(|log, done| log.purge(upto, done)).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cullet_raft_log::{ClusterId, Config, Identity, RealDisk, WriterMode};
    use futures_util::StreamExt as _;
    use openraft::EntryPayload;
    use openraft::vote::RaftLeaderId as _;

    use super::*;
    use crate::raft::batch::Batch;

    fn store(dir: &std::path::Path) -> Store {
        let identity = Identity { cluster: ClusterId([1; 16]), node: 1 };
        let config = Config { writer: WriterMode::Inline, ..Config::default() };
        Store::new(Log::open(Arc::new(RealDisk), dir, identity, config, Box::new(|_| {})).unwrap())
    }

    async fn stored(store: &mut Store, indexes: std::ops::Range<u64>) {
        let entries = indexes.map(|index| EntryOf::<Types> {
            log_id: LogIdOf::<Types>::new(openraft::alias::LeaderIdOf::<Types>::new(1, 1), index),
            payload: EntryPayload::Normal(Batch::default()),
        });
        let encoded = entries.map(|entry| encode(&entry).unwrap()).collect();
        store.durable(|log, done| log.append(encoded, done)).await.unwrap();
    }

    #[tokio::test]
    async fn who_asks_for_entries_that_are_not_there_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path());
        stored(&mut store, 0..5).await;
        assert_eq!(store.limited_get_log_entries(2, 9).await.unwrap().len(), 3);
        assert!(store.limited_get_log_entries(5, 5).await.unwrap().is_empty());
        let error = store.limited_get_log_entries(5, 7).await.unwrap_err();
        assert_eq!(error.to_string(), "entries 5..7 never reached the disk");

        let whole: Vec<_> = store.entries_stream(1..=4).await.collect().await;
        assert!(whole.len() == 4 && whole.iter().all(Result::is_ok));
        let short: Vec<_> = store.entries_stream(3..7).await.collect().await;
        assert!(short[0].is_ok() && short[1].is_ok());
        assert_eq!(short[2].as_ref().unwrap_err().to_string(), "entries 5..7 never reached the disk");
    }
}
