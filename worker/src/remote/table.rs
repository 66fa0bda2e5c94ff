//! The attempts that this worker knows of. Decides; nothing in here waits or runs anything.
//!
//! Of each step there is at most one attempt, the one with the newest epoch. An attempt is started at most once,
//! however often and by however many coordinators that is asked for, and its report is kept until a coordinator says
//! that it is in the log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use cullet_proto::v1;
use tokio_util::sync::CancellationToken;

use super::key::{AttemptKey, StepKey};
use super::report::report;
use super::retired::Retired;
use super::start::Start;
use crate::logs::LogTape;
use crate::planted::{self, Bug};
use crate::{Conclusion, Outcome};

/// The most attempts that are kept track of. A worker has room for far fewer, so a coordinator that wants more is
/// not one to listen to.
const MAX_ATTEMPTS: usize = 4096;

/// What a worker that ends says of attempts it does not finish.
pub(super) const SHUTTING_DOWN: &str = "the worker is shutting down";

/// Why an attempt is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// A coordinator said so.
    Asked,
    /// A newer epoch, or its end is in the log already: nobody wants its report.
    Superseded,
    /// The worker ends.
    Shutdown,
}

/// A hold on an attempt that runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Handle {
    pub(super) cancel: CancellationToken,
    /// Cancelled when nothing of it runs any more.
    pub(super) over: CancellationToken,
    pub(super) cause: Arc<OnceLock<Cause>>,
}

impl Handle {
    fn stop(&self, cause: Cause) {
        // The first reason is the one that counts.
        let _ = self.cause.set(cause);
        self.cancel.cancel();
    }
}

/// An attempt to be run at once.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) start: Box<Start>,
    pub(super) handle: Handle,
    pub(super) tape: LogTape,
    /// Older attempts at the step that still have to end.
    pub(super) after: Vec<CancellationToken>,
}

#[derive(Debug)]
struct Entry {
    attempt: u32,
    epoch: u64,
    tape: LogTape,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// It waits until there are fewer unacknowledged reports.
    Deferred(Box<Start>),
    Running(Handle),
    Finished {
        report: Box<v1::AttemptFinished>,
        /// The session in which it was sent last.
        sent_in: u64,
    },
}

/// Too many attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a coordinator wants more than {MAX_ATTEMPTS} attempts on this worker")]
pub(super) struct Full;

#[derive(Debug)]
pub(super) struct Table {
    entries: BTreeMap<StepKey, Entry>,
    /// Steps whose attempts are deferred, oldest first.
    deferred: VecDeque<StepKey>,
    /// Attempts that nobody waits for and that still have to end.
    leaving: Vec<(AttemptKey, Handle)>,
    retired: Retired,
    unacknowledged: usize,
    most_unacknowledged: usize,
    draining: bool,
}

impl Table {
    pub(super) fn new(most_unacknowledged: usize, retired: Retired) -> Self {
        Self {
            entries: BTreeMap::new(),
            deferred: VecDeque::new(),
            leaving: Vec::new(),
            retired,
            unacknowledged: 0,
            most_unacknowledged,
            draining: false,
        }
    }

    /// A coordinator wants it to run. Gives what is to be launched, if anything.
    pub(super) fn start(&mut self, start: Start) -> Result<Option<Launch>, Full> {
        let key = start.key;
        if !self.make_way(key)? {
            return Ok(None);
        }
        if self.draining {
            self.conclude(key, infra(SHUTTING_DOWN.to_owned()));
            return Ok(None);
        }
        let start = Box::new(start);
        if self.unacknowledged >= self.most_unacknowledged {
            self.insert(key, Phase::Deferred(start));
            self.deferred.push_back(key.step);
            return Ok(None);
        }
        Ok(Some(self.launch(start)))
    }

    /// It cannot be started, for this reason.
    pub(super) fn refuse(&mut self, key: AttemptKey, reason: String) -> Result<(), Full> {
        if self.make_way(key)? {
            self.conclude(key, infra(reason));
        }
        Ok(())
    }

    /// A coordinator wants it stopped. One that was never started ends with that.
    pub(super) fn stop(&mut self, key: AttemptKey) -> Result<(), Full> {
        let running = self.entry(key).and_then(|entry| match &entry.phase {
            Phase::Running(handle) => Some(handle.clone()),
            Phase::Deferred(_) | Phase::Finished { .. } => None,
        });
        if let Some(handle) = running {
            handle.stop(Cause::Asked);
            return Ok(());
        }
        let is_deferred = |entry: &&Entry| matches!(entry.phase, Phase::Deferred(_));
        if self.entry(key).as_ref().is_some_and(is_deferred) || self.make_way(key)? {
            self.deferred.retain(|deferred| *deferred != key.step);
            self.conclude(key, Conclusion::bare(Outcome::Cancelled));
        }
        Ok(())
    }

    /// An attempt that was launched has ended.
    pub(super) fn finished(&mut self, key: AttemptKey, report: v1::AttemptFinished) {
        if let Some(position) = self.leaving.iter().position(|(leaving, _)| *leaving == key) {
            self.leaving.swap_remove(position).1.over.cancel();
            return;
        }
        let Some(entry) = self.entries.get_mut(&key.step) else { return };
        if let Phase::Running(handle) = &entry.phase
            && (entry.attempt, entry.epoch) == (key.attempt, key.epoch)
        {
            handle.over.cancel();
            entry.phase = Phase::Finished { report: Box::new(report), sent_in: 0 };
            self.unacknowledged += 1;
        }
    }

    /// The end of an attempt is in the log. Gives what there is room for now, and its log.
    pub(super) fn acknowledge(&mut self, key: AttemptKey) -> Option<LogTape> {
        self.retired.add(key);
        self.entry(key)?;
        let entry = self.entries.remove(&key.step)?;
        let tape = entry.tape.clone();
        self.dismiss(key.step, entry);
        Some(tape)
    }

    /// What there is room for.
    pub(super) fn next_launch(&mut self) -> Option<Launch> {
        if self.unacknowledged >= self.most_unacknowledged {
            return None;
        }
        let step = self.deferred.pop_front()?;
        match self.entries.remove(&step)?.phase {
            Phase::Deferred(start) => Some(self.launch(start)),
            Phase::Running(_) | Phase::Finished { .. } => None,
        }
    }

    /// Takes nothing more.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        while let Some(step) = self.deferred.pop_front() {
            if let Some(Entry { attempt, epoch, .. }) = self.entries.get(&step) {
                let key = AttemptKey { step, attempt: *attempt, epoch: *epoch };
                self.conclude(key, infra(SHUTTING_DOWN.to_owned()));
            }
        }
    }

    /// Stops what runs.
    pub(super) fn shut_down(&mut self) {
        for entry in self.entries.values() {
            if let Phase::Running(handle) = &entry.phase {
                handle.stop(Cause::Shutdown);
            }
        }
    }

    pub(super) const fn is_draining(&self) -> bool {
        self.draining
    }

    pub(super) const fn unacknowledged(&self) -> usize {
        self.unacknowledged
    }

    /// How many run, also those that nobody waits for.
    pub(super) fn running(&self) -> usize {
        self.entries.len() - self.unacknowledged - self.deferred.len() + self.leaving.len()
    }

    pub(super) fn log(&self, key: AttemptKey) -> Option<&LogTape> {
        self.entry(key).map(|entry| &entry.tape)
    }

    /// For a greeting: what runs, and of what has finished as much as fits into about `room` bytes. The rest counts
    /// as running until it is sent by itself.
    pub(super) fn inventory(
        &mut self,
        session: u64,
        mut room: usize,
    ) -> (Vec<v1::Attempt>, Vec<v1::AttemptFinished>) {
        let (mut running, mut done) = (Vec::new(), Vec::new());
        for (step, entry) in &mut self.entries {
            let key = AttemptKey { step: *step, attempt: entry.attempt, epoch: entry.epoch };
            match &mut entry.phase {
                Phase::Finished { report, sent_in } if prost::Message::encoded_len(&**report) <= room => {
                    room -= prost::Message::encoded_len(&**report);
                    *sent_in = session;
                    done.push((**report).clone());
                }
                _ if planted::is(Bug::StartTwice) => {}
                _ => running.push(key.to_wire()),
            }
        }
        (running, done)
    }

    /// A report that was not sent in this session.
    pub(super) fn unsent(&mut self, session: u64) -> Option<v1::AttemptFinished> {
        self.entries.values_mut().find_map(|entry| match &mut entry.phase {
            Phase::Finished { report, sent_in } if *sent_in != session => {
                *sent_in = session;
                Some((**report).clone())
            }
            _ => None,
        })
    }

    /// Whether the attempt has to be taken in: it is new, and everything older of its step is out of the way. One
    /// that has finished is reported again.
    fn make_way(&mut self, key: AttemptKey) -> Result<bool, Full> {
        if let Some(entry) = self.entries.get_mut(&key.step) {
            if entry.epoch >= key.epoch && !planted::is(Bug::StartTwice) {
                if let (true, Phase::Finished { sent_in, .. }) =
                    ((entry.attempt, entry.epoch) == (key.attempt, key.epoch), &mut entry.phase)
                {
                    *sent_in = 0;
                }
                return Ok(false);
            }
        } else if self.retired.covers(key) {
            return Ok(false);
        } else if self.entries.len() + self.leaving.len() >= MAX_ATTEMPTS {
            return Err(Full);
        }
        if let Some(older) = self.entries.remove(&key.step) {
            self.dismiss(key.step, older);
        }
        Ok(true)
    }

    /// Nobody wants to hear of it any more.
    fn dismiss(&mut self, step: StepKey, entry: Entry) {
        let key = AttemptKey { step, attempt: entry.attempt, epoch: entry.epoch };
        match entry.phase {
            Phase::Running(handle) => {
                handle.stop(Cause::Superseded);
                self.leaving.push((key, handle));
            }
            Phase::Finished { .. } => self.unacknowledged -= 1,
            Phase::Deferred(_) => self.deferred.retain(|deferred| *deferred != step),
        }
    }

    fn launch(&mut self, start: Box<Start>) -> Launch {
        let key = start.key;
        let handle = Handle::default();
        let tape = self.insert(key, Phase::Running(handle.clone()));
        let older = self.leaving.iter().filter(|(older, _)| older.step == key.step);
        let after = older.map(|(_, handle)| handle.over.clone()).collect();
        Launch { start, handle, tape, after }
    }

    /// An attempt that ends without having run.
    fn conclude(&mut self, key: AttemptKey, conclusion: Conclusion) {
        let phase = Phase::Finished { report: Box::new(report(key, conclusion)), sent_in: 0 };
        self.insert(key, phase).close();
        self.unacknowledged += 1;
    }

    fn insert(&mut self, key: AttemptKey, phase: Phase) -> LogTape {
        let tape = LogTape::default();
        let entry = Entry { attempt: key.attempt, epoch: key.epoch, tape: tape.clone(), phase };
        self.entries.insert(key.step, entry);
        tape
    }

    fn entry(&self, key: AttemptKey) -> Option<&Entry> {
        let entry = self.entries.get(&key.step)?;
        ((entry.attempt, entry.epoch) == (key.attempt, key.epoch)).then_some(entry)
    }
}

fn infra(reason: String) -> Conclusion {
    Conclusion::bare(Outcome::Infra { reason })
}

#[cfg(test)]
mod tests;
