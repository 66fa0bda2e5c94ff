//! The attempts of this worker, shared by the stream to the coordinator, the attempts themselves and readers of logs.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cullet_digest::Digest;
use cullet_proto::v1;
use tokio::sync::watch;
use tokio::time::Instant;

use super::config::Limits;
use super::holdings::Holdings;
use super::key::AttemptKey;
use super::retired::Retired;
use super::start::Start;
use super::table::{Full, Launch, Table};
use crate::logs::LogTape;

/// Of how many steps is remembered that they ended: what a worker does in hours, while a coordinator that leads no
/// more is found out within seconds.
const MOST_RETIRED: usize = 4096;

/// How many logs are kept for readers after the end of their attempts is in the log. Each has up to two open files.
const MOST_LINGERING: usize = 64;

/// See [`Table`] for what it decides.
#[derive(Debug)]
pub(super) struct Registry {
    inner: Mutex<Inner>,
    /// Changes whenever somebody may have to do something about it.
    changes: watch::Sender<()>,
    limits: Limits,
}

#[derive(Debug)]
struct Inner {
    table: Table,
    /// A coordinator has it in its log that nothing more is to be started here.
    parted: bool,
    holdings: Holdings,
    /// Logs of attempts that are forgotten otherwise, and until when.
    lingering: VecDeque<(Instant, AttemptKey, LogTape)>,
}

impl Registry {
    pub(super) fn new(limits: Limits) -> Self {
        let table = Table::new(limits.unacknowledged, Retired::new(MOST_RETIRED));
        let inner = Inner { table, parted: false, holdings: Holdings::default(), lingering: VecDeque::new() };
        Self { inner: Mutex::new(inner), changes: watch::Sender::new(()), limits }
    }

    pub(super) fn start(&self, start: Start) -> Result<Option<Launch>, Full> {
        self.change(|inner| inner.table.start(start))
    }

    pub(super) fn refuse(&self, key: AttemptKey, reason: String) -> Result<(), Full> {
        self.change(|inner| inner.table.refuse(key, reason))
    }

    pub(super) fn stop(&self, key: AttemptKey) -> Result<(), Full> {
        self.change(|inner| inner.table.stop(key))
    }

    /// The end of an attempt, and the trees that it has left on the disk.
    pub(super) fn finished(&self, key: AttemptKey, report: v1::AttemptFinished, trees: Vec<Digest>) {
        self.change(|inner| {
            inner.table.finished(key, report);
            inner.holdings.add(trees);
        });
    }

    /// Forgets an attempt, all but its log.
    pub(super) fn acknowledge(&self, key: AttemptKey) {
        let expires = Instant::now() + self.limits.log_grace;
        self.change(|inner| {
            if let Some(tape) = inner.table.acknowledge(key) {
                inner.lingering.push_back((expires, key, tape));
            }
            inner.expire();
        });
    }

    pub(super) fn next_launch(&self) -> Option<Launch> {
        self.lock().table.next_launch()
    }

    pub(super) fn drain(&self) {
        self.change(|inner| inner.table.drain());
    }

    /// A coordinator knows that this worker takes nothing more.
    pub(super) fn part(&self) {
        self.change(|inner| inner.parted = inner.table.is_draining());
    }

    pub(super) fn has_parted(&self) -> bool {
        self.lock().parted
    }

    pub(super) fn shut_down(&self) {
        self.lock().table.shut_down();
    }

    pub(super) fn is_draining(&self) -> bool {
        self.lock().table.is_draining()
    }

    pub(super) fn running(&self) -> usize {
        self.lock().table.running()
    }

    pub(super) fn unacknowledged(&self) -> usize {
        self.lock().table.unacknowledged()
    }

    pub(super) fn inventory(
        &self,
        session: u64,
        room: usize,
    ) -> (Vec<v1::Attempt>, Vec<v1::AttemptFinished>) {
        self.lock().table.inventory(session, room)
    }

    pub(super) fn unsent(&self, session: u64) -> Option<v1::AttemptFinished> {
        self.lock().table.unsent(session)
    }

    /// What is held, if that is no longer `known`.
    pub(super) fn holdings(&self, known: u64) -> Option<(u64, v1::Holdings)> {
        let inner = self.lock();
        let version = inner.holdings.version();
        (version != known).then(|| (version, inner.holdings.message()))
    }

    pub(super) fn log(&self, key: AttemptKey) -> Option<LogTape> {
        let mut inner = self.lock();
        inner.expire();
        let lingering =
            || inner.lingering.iter().find(|(_, known, _)| *known == key).map(|(_, _, tape)| tape);
        inner.table.log(key).or_else(lingering).cloned()
    }

    /// Drops logs whose time is over.
    pub(super) fn expire(&self) {
        self.lock().expire();
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Waits until `condition` holds.
    pub(super) async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changes = self.changes();
        while !condition(self) {
            // The sender is ours, so this is no end.
            let _ = changes.changed().await;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let done = change(&mut self.lock());
        self.changes.send_replace(());
        done
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn expire(&mut self) {
        let now = Instant::now();
        while self.lingering.len() > MOST_LINGERING
            || self.lingering.front().is_some_and(|(expires, _, _)| *expires <= now)
        {
            self.lingering.pop_front();
        }
    }
}
