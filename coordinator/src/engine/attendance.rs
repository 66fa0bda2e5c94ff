//! Which workers are connected to this leader, and since when the others are not.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cullet_core::WorkerId;
use cullet_digest::Digest;
use cullet_proto::v1::coordinator_message::Message;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::planted::{self, Bug};

/// Messages to one worker that wait for its connection. One that does not take as many is disconnected; it comes back
/// and is told everything again.
pub(crate) const OUTBOX: usize = 1024;

/// The connections of one leader.
#[derive(Debug, Default)]
pub(crate) struct Attendance {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    present: HashMap<WorkerId, Presence>,
    absent: HashMap<WorkerId, Instant>,
    /// Whose loss is being proposed.
    leaving: HashSet<WorkerId>,
    holders: HashMap<Digest, BTreeSet<WorkerId>>,
    sessions: u64,
}

#[derive(Debug)]
struct Presence {
    session: u64,
    outbox: mpsc::Sender<Message>,
    replaced: CancellationToken,
    holdings: Vec<Digest>,
}

/// A worker's place while its connection lasts.
#[derive(Debug)]
pub(crate) struct Seated {
    pub(crate) worker: WorkerId,
    session: u64,
    /// Cancelled when another connection of the worker takes its place, or this one is given up.
    pub(crate) replaced: CancellationToken,
}

impl Attendance {
    /// A worker is there. A connection that it had before is given up. None where its loss is being proposed: nothing would
    /// ever be assigned to it, and once it is lost it can join anew.
    pub(crate) fn enter(&self, worker: WorkerId, outbox: mpsc::Sender<Message>) -> Option<Seated> {
        let mut inner = self.lock();
        if inner.leaving.contains(&worker) {
            return None;
        }
        inner.sessions += 1;
        let (session, replaced) = (inner.sessions, CancellationToken::new());
        inner.absent.remove(&worker);
        inner.dismiss(worker);
        let presence = Presence { session, outbox, replaced: replaced.clone(), holdings: Vec::new() };
        inner.present.insert(worker, presence);
        Some(Seated { worker, session, replaced })
    }

    /// The connection is gone. `heard` is when the worker said something last.
    pub(crate) fn leave(&self, seated: &Seated, heard: Instant) {
        let mut inner = self.lock();
        if inner.present.get(&seated.worker).is_some_and(|present| present.session == seated.session) {
            inner.dismiss(seated.worker);
            inner.absent.insert(seated.worker, heard);
        }
    }

    /// Whether it is connected.
    pub(crate) fn is_present(&self, worker: WorkerId) -> bool {
        self.lock().present.contains_key(&worker)
    }

    /// Tells a worker something. One that is not connected learns it when it comes back.
    pub(crate) fn send(&self, worker: WorkerId, message: Message) {
        let inner = self.lock();
        let Some(presence) = inner.present.get(&worker) else { return };
        if presence.outbox.try_send(message).is_err() {
            presence.replaced.cancel();
        }
    }

    /// What a worker has on its disk, as it says.
    pub(crate) fn hold(&self, seated: &Seated, holdings: Vec<Digest>) {
        let mut inner = self.lock();
        if inner.present.get(&seated.worker).is_none_or(|present| present.session != seated.session) {
            return;
        }
        inner.let_go(seated.worker);
        for tree in &holdings {
            inner.holders.entry(*tree).or_default().insert(seated.worker);
        }
        if let Some(presence) = inner.present.get_mut(&seated.worker) {
            presence.holdings = holdings;
        }
    }

    /// Connected workers that have a tree, at most so many.
    pub(crate) fn holders(&self, tree: &Digest, most: usize) -> Vec<WorkerId> {
        let inner = self.lock();
        inner.holders.get(tree).into_iter().flatten().take(most).copied().collect()
    }

    /// Of all these, those that nobody has heard of for longer than a lease; each is given once.
    pub(crate) fn overdue(&self, all: &[WorkerId], lease: Duration) -> Vec<WorkerId> {
        let now = Instant::now();
        let mut inner = self.lock();
        let known: HashSet<WorkerId> = all.iter().copied().collect();
        inner.absent.retain(|worker, _| known.contains(worker));
        inner.leaving.retain(|worker| known.contains(worker));
        let mut overdue = Vec::new();
        for worker in all {
            if inner.present.contains_key(worker) || inner.leaving.contains(worker) {
                continue;
            }
            // Those that never came to this leader count from the first look.
            let since = *inner.absent.entry(*worker).or_insert(now);
            if now.saturating_duration_since(since) >= lease || planted::is(Bug::LoseWorkers) {
                inner.absent.remove(worker);
                inner.leaving.insert(*worker);
                overdue.push(*worker);
            }
        }
        overdue
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn dismiss(&mut self, worker: WorkerId) {
        self.let_go(worker);
        if let Some(presence) = self.present.remove(&worker) {
            presence.replaced.cancel();
        }
    }

    fn let_go(&mut self, worker: WorkerId) {
        let Some(presence) = self.present.get_mut(&worker) else { return };
        for tree in std::mem::take(&mut presence.holdings) {
            if let Some(holders) = self.holders.get_mut(&tree) {
                holders.remove(&worker);
                if holders.is_empty() {
                    self.holders.remove(&tree);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;
    use cullet_proto::v1;

    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    fn stop() -> Message {
        Message::Stop(v1::Stop::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_is_overdue_once_and_only_when_it_was_silent_for_a_lease() {
        let (attendance, all) = (Attendance::default(), [WorkerId(1), WorkerId(2)]);
        let (outbox, _inbox) = mpsc::channel(1);
        let seated = attendance.enter(WorkerId(1), outbox).unwrap();
        assert!(attendance.overdue(&all, LEASE).is_empty());
        let heard = Instant::now();
        tokio::time::advance(Duration::from_secs(6)).await;
        attendance.leave(&seated, heard);
        assert!(attendance.overdue(&all, LEASE).is_empty());
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(attendance.overdue(&all, LEASE), all);
        assert!(attendance.overdue(&all, LEASE).is_empty());
    }

    #[tokio::test]
    async fn a_second_connection_takes_the_place_of_the_first() {
        let attendance = Attendance::default();
        let (outbox, _first) = mpsc::channel(1);
        let first = attendance.enter(WorkerId(1), outbox).unwrap();
        let (outbox, mut inbox) = mpsc::channel(1);
        let second = attendance.enter(WorkerId(1), outbox).unwrap();
        assert!(first.replaced.is_cancelled() && !second.replaced.is_cancelled());
        attendance.leave(&first, Instant::now());
        attendance.send(WorkerId(1), stop());
        assert_eq!(inbox.recv().await, Some(stop()));
        attendance.send(WorkerId(1), stop());
        attendance.send(WorkerId(1), stop());
        assert!(second.replaced.is_cancelled(), "it does not take what it is told");
    }

    #[tokio::test(start_paused = true)]
    async fn one_whose_loss_is_being_proposed_is_not_let_in() {
        let attendance = Attendance::default();
        let enter = |worker| attendance.enter(WorkerId(worker), mpsc::channel(1).0);
        assert!(attendance.overdue(&[WorkerId(1)], LEASE).is_empty());
        tokio::time::advance(LEASE).await;
        assert_eq!(attendance.overdue(&[WorkerId(1)], LEASE), [WorkerId(1)]);
        assert!(enter(1).is_none());
        // It is lost, and joined anew.
        assert!(enter(2).is_some());
        assert!(attendance.overdue(&[WorkerId(2)], LEASE).is_empty());
    }

    #[test]
    fn who_holds_a_tree_is_known_while_it_is_there() {
        let attendance = Attendance::default();
        let tree = |name: &str| DigestFunction::Blake3.digest(name.as_bytes());
        let enter = |worker| attendance.enter(WorkerId(worker), mpsc::channel(1).0).unwrap();
        let (one, two) = (enter(1), enter(2));
        attendance.hold(&one, vec![tree("a"), tree("b")]);
        attendance.hold(&two, vec![tree("a")]);
        assert_eq!(attendance.holders(&tree("a"), 4), [WorkerId(1), WorkerId(2)]);
        assert_eq!(attendance.holders(&tree("a"), 1), [WorkerId(1)]);
        attendance.hold(&one, vec![tree("b")]);
        assert_eq!(attendance.holders(&tree("a"), 4), [WorkerId(2)]);
        attendance.leave(&two, Instant::now());
        assert!(attendance.holders(&tree("a"), 4).is_empty() && attendance.holders(&tree("b"), 4).len() == 1);
    }
}
