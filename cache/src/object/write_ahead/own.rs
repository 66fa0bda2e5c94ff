//! The logs that this process writes: what waits for them, what is in them, and how much that is.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cullet_digest::Digest;
use tokio::sync::{Notify, oneshot};

use super::home::Home;
use super::log::Log;
use super::record::{HEADER, bytes_of};
use crate::StoreError;

/// How much is put into logs, and how long it stays there.
#[derive(Debug, Clone, Copy)]
pub(in crate::object) struct Limits {
    /// What waits to be written. More is not written faster by waiting here.
    pub(super) queue: u64,
    /// Bytes in all logs: what a new process has to make files of before they are gone.
    pub(super) bytes: u64,
    /// Records in all logs: some 30 MiB of index.
    pub(super) records: usize,
    /// Bytes of a log that gets no more.
    pub(super) log: u64,
    /// After so long without a blob there is time to make files.
    pub(super) idle: Duration,
    /// Never later than after this: until then only those who read logs have the blob.
    pub(super) oldest: Duration,
    /// How long blobs wait for room in the logs. Files are made faster of what is in a log than of what nobody has written yet, but
    /// not by so much that anybody should wait for long.
    pub(super) patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue: 16 << 20,
            bytes: 1 << 30,
            records: 1 << 18,
            log: 64 << 20,
            idle: Duration::from_millis(200),
            oldest: Duration::from_secs(5),
            patience: Duration::from_secs(1),
        }
    }
}

/// Blobs that were not written into a log.
pub(super) type Left = Vec<(Digest, Bytes)>;

/// Tells when blobs are in a log.
pub(super) type Written = oneshot::Receiver<Result<Left, StoreError>>;

/// Blobs that are not to be written into a log now, and whether that may change soon.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) blobs: Left,
    pub(super) full: bool,
}

/// Blobs that are to be written into a log.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) blobs: Vec<(Digest, Bytes)>,
    pub(super) done: oneshot::Sender<Result<Left, StoreError>>,
}

/// Records, and their bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Amount {
    pub(super) records: usize,
    pub(super) bytes: u64,
}

impl Amount {
    pub(super) fn of(blobs: &[(Digest, Bytes)]) -> Self {
        let bytes = blobs.iter().map(|(_, bytes)| (HEADER + bytes.len()) as u64).sum();
        Self { records: blobs.len(), bytes }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.records += other.records;
        self.bytes += other.bytes;
    }

    pub(super) fn take(&mut self, other: Self) {
        self.records -= other.records;
        self.bytes -= other.bytes;
    }
}

/// A log and how far it is acknowledged.
#[derive(Debug, Clone)]
pub(super) struct Filled {
    pub(super) log: Arc<Log>,
    pub(super) end: u64,
    pub(super) amount: Amount,
    pub(super) since: Instant,
}

/// The logs of this process. One thread writes them and one makes files of what is in them.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) home: Arc<Home>,
    pub(super) place: String,
    pub(super) limits: Limits,
    pub(super) state: Mutex<State>,
    /// There is something to write, or nothing will come any more.
    pub(super) queued: Condvar,
    /// The same for making files.
    pub(super) due: Condvar,
    /// A thread has ended.
    ended: Condvar,
    /// There may be room for one of those who wait for it.
    pub(super) room: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) queue: VecDeque<Job>,
    pub(super) queued: Amount,
    /// In the queue and in all logs.
    pub(super) unsettled: Amount,
    /// What is acknowledged and no file yet, and where its bytes begin.
    pub(super) index: HashMap<Digest, (Arc<Log>, u64)>,
    /// The numbers of all logs that are there.
    pub(super) ids: HashSet<u64>,
    /// The log that is written.
    pub(super) active: Option<Filled>,
    /// Whether it is written just now.
    pub(super) writing: bool,
    /// Whether it is to get no more after that.
    pub(super) seal: bool,
    /// Those that get no more, the one that becomes files next first.
    pub(super) sealed: VecDeque<Filled>,
    /// When the last blob was acknowledged.
    pub(super) put: Instant,
    /// Until then no log is begun.
    pub(super) rests: Option<Instant>,
    pub(super) closed: bool,
    /// Nothing is done any more, as after a crash.
    pub(super) abandoned: bool,
    threads: usize,
}

/// How long the end of a store waits for its logs. What is left then is for whoever opens the store next.
const PATIENCE: Duration = Duration::from_secs(1);

impl Own {
    pub(super) fn new(home: &Arc<Home>, place: &str, limits: Limits) -> Self {
        let state = State {
            queue: VecDeque::new(),
            queued: Amount::default(),
            unsettled: Amount::default(),
            index: HashMap::new(),
            ids: HashSet::new(),
            active: None,
            writing: false,
            seal: false,
            sealed: VecDeque::new(),
            put: Instant::now(),
            rests: None,
            closed: false,
            abandoned: false,
            threads: 0,
        };
        Self {
            home: Arc::clone(home),
            place: place.to_owned(),
            limits,
            state: Mutex::new(state),
            queued: Condvar::new(),
            due: Condvar::new(),
            ended: Condvar::new(),
            room: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread that this ends.
    pub(super) fn start(
        self: &Arc<Self>,
        name: &str,
        work: impl FnOnce(&Self) + Send + 'static,
    ) -> io::Result<()> {
        let own = Arc::clone(self);
        self.lock().threads += 1;
        let started = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let ending = Ending(&own);
            work(&own);
            drop(ending);
        });
        if started.is_err() {
            self.lock().threads -= 1;
        }
        started.map(drop)
    }

    /// Whether a log has this blob.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.lock().index.contains_key(digest)
    }

    /// Whether this is a log of this process.
    pub(super) fn has_log(&self, id: u64) -> bool {
        self.lock().ids.contains(&id)
    }

    /// The bytes of a blob that is in a log.
    pub(super) fn read(&self, digest: &Digest) -> io::Result<Option<Bytes>> {
        let spot = self.lock().index.get(digest).cloned();
        spot.map(|(log, at)| bytes_of(&log.file, digest, at)).transpose()
    }

    pub(super) fn forget(&self, digest: &Digest) {
        self.lock().index.remove(digest);
    }

    /// Has blobs written. They are handed back where that would be too much.
    pub(super) fn push(&self, blobs: Left) -> Result<Written, Refused> {
        let amount = Amount::of(&blobs);
        let mut state = self.lock();
        let rests = state.rests.is_some_and(|until| Instant::now() < until);
        let full = state.queued.bytes + amount.bytes > self.limits.queue
            || state.unsettled.bytes + amount.bytes > self.limits.bytes
            || state.unsettled.records + amount.records > self.limits.records;
        if rests || full || state.closed {
            return Err(Refused { blobs, full: full && !rests && !state.closed });
        }
        let (done, wait) = oneshot::channel();
        state.queued.add(amount);
        state.unsettled.add(amount);
        state.queue.push_back(Job { blobs, done });
        drop(state);
        self.queued.notify_one();
        Ok(wait)
    }

    /// The same, but waits until then where there is no room yet.
    pub(super) async fn push_until(&self, mut blobs: Left, until: Instant) -> Result<Written, Left> {
        loop {
            let room = self.room.notified();
            match self.push(blobs) {
                Ok(wait) => {
                    // There may be room for another one.
                    self.room.notify_one();
                    return Ok(wait);
                }
                Err(refused) if !refused.full => return Err(refused.blobs),
                Err(refused) => blobs = refused.blobs,
            }
            if tokio::time::timeout_at(until.into(), room).await.is_err() {
                return Err(blobs);
            }
        }
    }

    /// Ends the threads, and waits a moment for what they still have to do.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.queued.notify_all();
        self.due.notify_all();
        let waited = self.ended.wait_timeout_while(self.lock(), PATIENCE, |state| state.threads > 0);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Leaves everything as it is, as a process does that is killed.
    #[cfg(test)]
    pub(super) fn abandon(&self) {
        self.lock().abandoned = true;
        self.close();
        let mut state = self.lock();
        state.index.clear();
        state.sealed.clear();
        state.active = None;
    }
}

/// Tells that a thread has ended, however it did.
struct Ending<'a>(&'a Own);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.lock().threads -= 1;
        self.0.ended.notify_all();
    }
}
