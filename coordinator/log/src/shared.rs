//! What the log's handles, its writer and its snapshots share.

use std::any::Any;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::pending::Pending;
use crate::segment::Segment;
use crate::snapshot::Snapshots;
use crate::state::{Batch, State};
use crate::writer::{Writer, Written};
use crate::{Config, Error, Result, WriterMode};

/// Told once, with the first error, when the log can do nothing any more. The process should end.
pub type OnFailure = Box<dyn Fn(&Error) + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    /// Something is queued, or the log was closed.
    pub(crate) work: Condvar,
    /// Something is no longer queued.
    pub(crate) room: Condvar,
    /// Locked before the state.
    pub(crate) writer: Mutex<Writer>,
    pub(crate) snapshots: Snapshots,
    pub(crate) config: Config,
    pub(crate) on_failure: OnFailure,
    pub(crate) counters: Counters,
    /// Nobody else opens the directory while it is held.
    pub(crate) _lock: Box<dyn Any + Send + Sync>,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) operations: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

/// A panic elsewhere leaves the state as it was between two of its calls: each of them finishes what it changes.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Queues the operation once there is room. In [`WriterMode::Inline`] it is over when this returns.
    pub(crate) fn submit(&self, pending: Vec<Pending>, mut state: MutexGuard<'_, State>) {
        pending.into_iter().for_each(|pending| state.accept(pending));
        drop(state);
        match self.config.writer {
            WriterMode::Thread => self.work.notify_one(),
            WriterMode::Inline => while self.step() {},
            WriterMode::Driven => (),
        }
    }

    /// The state, once the log is open and has room in its queue.
    pub(crate) fn ready(&self) -> Result<MutexGuard<'_, State>> {
        let mut state = lock(&self.state);
        loop {
            state.check_open()?;
            if state.waiting_bytes < self.config.queue_bytes || self.config.writer != WriterMode::Thread {
                return Ok(state);
            }
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The writer's thread: until the log is closed and everything is written, or has failed.
    pub(crate) fn run(&self) {
        let _guard = FailOnPanic(self);
        loop {
            while self.step() {}
            let state = lock(&self.state);
            let idle = |state: &mut State| !state.has_work() && !state.closed && state.failed.is_none();
            let state = self.work.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
            if (state.closed && !state.has_work() && state.committed.is_none()) || state.failed.is_some() {
                return;
            }
        }
    }

    /// Writes one batch and tells those concerned. False where nothing waits.
    pub(crate) fn step(&self) -> bool {
        let mut writer = lock(&self.writer);
        let Some(batch) = self.take() else { return false };
        let written = if batch.says_nothing() {
            Ok(Written::default())
        } else {
            self.rotate(&mut writer).and_then(|()| writer.write(&batch))
        };
        let (result, unneeded, waiting) = self.settle(&batch, written);
        drop(writer);
        self.room.notify_all();
        let told = batch.operations.into_iter().map(|pending| (pending, result.clone()));
        let later = result.clone().map_err(|error| if is_full(&error) { error } else { error.lasting() });
        let told = told.chain(waiting.into_iter().map(|pending| (pending, later.clone())));
        told.filter_map(|(pending, result)| Some((pending.done?, result)))
            .for_each(|(done, result)| done(result));
        if let Err(error) = &result
            && !matches!(error, Error::Full { .. } | Error::Failed { .. })
        {
            (self.on_failure)(error);
        }
        self.remove(&unneeded);
        true
    }

    fn take(&self) -> Option<Batch> {
        let mut state = lock(&self.state);
        if state.failed.is_some() { None } else { state.take(self.config.batch_bytes) }
    }

    fn rotate(&self, writer: &mut Writer) -> Result<()> {
        if writer.tail < self.config.segment_bytes {
            return Ok(());
        }
        let carried = lock(&self.state).durable.without_entries();
        let segment = writer.rotate(&carried)?;
        lock(&self.state).segments.insert(segment.number, segment);
        Ok(())
    }

    /// What came of the batch, segments that can go, and operations that fail with it.
    fn settle(
        &self,
        batch: &Batch,
        written: Result<Written>,
    ) -> (Result<()>, Vec<Arc<Segment>>, Vec<Pending>) {
        let mut state = lock(&self.state);
        // A snapshot may have ended the log meanwhile.
        let written = state.failed.clone().map_or(written, Err);
        match written {
            Ok(Written { locations, bytes }) => {
                self.counters.operations.fetch_add(batch.operations.len() as u64, Ordering::Relaxed);
                self.counters.frames.fetch_add(u64::from(bytes > 0), Ordering::Relaxed);
                self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
                let unneeded = state.settle(batch, locations);
                state.evict(self.config.cache_bytes);
                (Ok(()), unneeded, Vec::new())
            }
            Err(error) => {
                if is_full(&error) {
                    // The committed point is only a hint, but there is no reason to lose it.
                    let newer = state.committed.take();
                    state.committed = newer.or_else(|| batch.committed.clone()).filter(|_| !state.closed);
                } else {
                    state.failed.get_or_insert_with(|| error.lasting());
                }
                (Err(error), Vec::new(), state.roll_back())
            }
        }
    }

    /// A leftover is removed at the next opening, so the names need no sync.
    fn remove(&self, segments: &[Arc<Segment>]) {
        for segment in segments {
            let disk = Arc::clone(&lock(&self.writer).disk);
            if let Err(error) = disk.remove(&segment.path) {
                self.fail(&Error::io("remove", &segment.path)(error));
                return;
            }
        }
    }

    /// Ends the log with its first error, and returns the error that operations get from now on.
    pub(crate) fn fail(&self, error: &Error) -> Error {
        let mut state = lock(&self.state);
        if let Some(first) = &state.failed {
            return first.clone();
        }
        let lasting = error.lasting();
        state.failed = Some(lasting.clone());
        let waiting = state.roll_back();
        drop(state);
        self.work.notify_all();
        self.room.notify_all();
        waiting.into_iter().filter_map(|pending| pending.done).for_each(|done| done(Err(lasting.clone())));
        (self.on_failure)(error);
        lasting
    }
}

/// Without its writer the log must not take operations that nobody would write.
struct FailOnPanic<'a>(&'a Shared);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = lock(&self.0.writer).dir.clone();
            self.0.fail(&Error::io("go on writing", &path)(io::Error::other("a callback panicked")));
        }
    }
}

fn is_full(error: &Error) -> bool {
    matches!(error, Error::Full { .. })
}
