//! The thread that makes files of what is in the logs of this process, when nothing else is to be done or a log has become old.

use std::io;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use cullet_digest::Digest;

use super::own::{Amount, Filled, Own, State};
use super::settle::{FEW, settle};

/// How long it lets others work after every few files, while blobs arrive.
const STEP_BACK: Duration = Duration::from_millis(20);

/// After a failure, doubled for each further one.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How often it looks for what dead processes have left.
const SWEEP: Duration = Duration::from_secs(60);

/// Entries that leave the index at once: nobody waits long for them.
const FORGOTTEN: usize = 1024;

/// What went wrong with a log.
#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    until: Option<Instant>,
}

impl Trouble {
    fn met(&mut self, error: &io::Error, filled: &Filled) {
        let log = filled.log.path().display();
        if self.failures == 0 {
            tracing::warn!(%error, %log, "a log stays for now: its blobs cannot be made files");
        } else {
            tracing::debug!(%error, %log, "a log still stays");
        }
        let pause = PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.until = Some(Instant::now() + pause);
    }

    /// One log went well. Others may still be in trouble, which was said.
    fn passed(&mut self, was_last: bool) {
        self.until = None;
        if was_last {
            self.failures = 0;
        }
    }
}

impl Own {
    /// Makes files of logs, and now and then calls `sweep`, until the store is closed and nothing is left.
    pub(super) fn settle_on(&self, sweep: impl Fn()) {
        let mut trouble = Trouble::default();
        let mut next_sweep = Instant::now();
        loop {
            if Instant::now() >= next_sweep && !self.lock().closed {
                sweep();
                next_sweep = Instant::now() + SWEEP;
            }
            let mut state = self.lock();
            if state.abandoned || (state.closed && (trouble.failures > 0 || state.is_done())) {
                return;
            }
            let seals = self.seal(&mut state);
            let may = trouble.until.is_none_or(|until| Instant::now() >= until);
            if let Some(filled) = state.sealed.front().filter(|_| may).cloned() {
                drop(state);
                match self.settle(&filled) {
                    Ok(()) => trouble.passed(self.lock().sealed.is_empty()),
                    Err(error) => {
                        trouble.met(&error, &filled);
                        // What is wrong with one is not wrong with all.
                        self.lock().sealed.rotate_left(1);
                    }
                }
                continue;
            }
            let until = [seals, trouble.until.filter(|_| !may), Some(next_sweep)];
            let until = until.into_iter().flatten().min().unwrap_or(next_sweep);
            let wait = until.saturating_duration_since(Instant::now());
            drop(self.due.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Has a log get no more if it is time for that, else says when it is.
    fn seal(&self, state: &mut State) -> Option<Instant> {
        let filled = state.active.as_ref()?;
        let at = (state.put + self.limits.idle).min(filled.since + self.limits.oldest);
        if Instant::now() < at && !state.closed {
            return Some(at);
        }
        if state.writing {
            // Whoever writes it does it then, and says so.
            state.seal = true;
        } else if let Some(filled) = state.active.take() {
            state.sealed.push_back(filled);
        }
        None
    }

    /// Makes files of what is in the first log of those that get no more, and removes it.
    fn settle(&self, filled: &Filled) -> io::Result<()> {
        let (log, mut freed) = (&filled.log, Amount::default());
        let settled = settle(&self.home, (&log.file, log.path()), filled.end, || {
            self.free(filled.amount, &mut freed);
            self.step_back()
        });
        let removed = settled.and_then(|settled| log.remove(&self.home).map(|()| settled));
        let settled = removed.inspect_err(|_| self.lock().unsettled.add(freed))?;
        for few in settled.chunks(FORGOTTEN) {
            self.lock().forget(log.id, few);
        }
        let mut state = self.lock();
        state.unsettled.add(freed);
        state.unsettled.take(filled.amount);
        state.ids.remove(&log.id);
        state.sealed.pop_front();
        drop(state);
        self.room.notify_one();
        Ok(())
    }

    /// Gives room to others for a few of a log of which files are being made: they need not all wait for its end.
    fn free(&self, log: Amount, freed: &mut Amount) {
        if freed.records + FEW <= log.records {
            let few = Amount { records: FEW, bytes: log.bytes / log.records as u64 * FEW as u64 };
            freed.add(few);
            self.lock().unsettled.take(few);
            self.room.notify_one();
        }
    }

    /// Lets those go first who store blobs, unless it is more and more that waits.
    fn step_back(&self) -> io::Result<()> {
        let state = self.lock();
        if state.abandoned {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let (unsettled, limits) = (state.unsettled, self.limits);
        let much = unsettled.bytes > limits.bytes / 2 || unsettled.records > limits.records / 2;
        let busy = state.put.elapsed() < limits.idle && !state.closed;
        drop(state);
        if busy && !much {
            std::thread::sleep(STEP_BACK);
        }
        Ok(())
    }
}

impl State {
    /// Whether there is nothing left, and nothing comes any more.
    fn is_done(&self) -> bool {
        self.queue.is_empty() && !self.writing && self.active.is_none() && self.sealed.is_empty()
    }

    /// Of a blob that is in two logs, the other one stays.
    fn forget(&mut self, log: u64, blobs: &[Digest]) {
        for digest in blobs {
            if self.index.get(digest).is_some_and(|(of, _)| of.id == log) {
                self.index.remove(digest);
            }
        }
    }
}
