//! Whether this node knows what the majority knows. Raft itself does not tell: a follower that is cut off keeps the
//! leader it knew, and so does one that only hears a leader which is cut off as well; a leader that nobody answers goes
//! on for ever. So every node asks now and then how far the cluster is, as a linearizable read does (raft thesis, 6.4),
//! and remembers when it was there.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use openraft::ServerState;
use openraft::async_runtime::{Instant as _, WatchReceiver as _};
use tokio::time::{Instant, sleep, timeout};

use super::network::{HowFar, Peer};
use super::node::{Leader, Node};
use crate::planted::{self, Bug};

/// Between two questions, in election timeouts.
const PULSE: u32 = 2;

/// Questions that may fail one after the other until a node counts as cut off.
const QUESTIONS: u32 = 4;

/// For how many election timeouts a leader that hears nobody says nothing: after two and a half to three of them those who
/// hear it elect another (see [`super::Timing`]).
const SILENT: u32 = 4;

/// For how many a leader that does not hear them any more goes on saying that it is there: where it only stood still, it has
/// an answer by then, and where not, the engine has stopped (it looks twice a second).
const SPEAKS_ON: u32 = 2;

/// When this node was known to be up to date last.
#[derive(Debug)]
pub struct Contact {
    began: Instant,
    /// Milliseconds after `began`.
    up_to_date: AtomicU64,
    /// It was known at all.
    known: AtomicBool,
    /// When what was last agreed to was proposed here, in milliseconds after `began`.
    agreed: AtomicU64,
    /// How long it counts.
    patience: Duration,
}

impl Contact {
    /// Up to date from now on, for so long.
    pub(super) fn new(patience: Duration) -> Self {
        let (up_to_date, known, agreed) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
        Self { began: Instant::now(), up_to_date, known, agreed, patience }
    }

    /// For how long it has not been known to be up to date, where that is too long.
    pub fn lost(&self) -> Option<Duration> {
        Some(self.silence()).filter(|silence| *silence > self.patience)
    }

    /// Whether it was ever known to be up to date.
    pub fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Returns once this node has not been known to be up to date for too long.
    pub async fn until_lost(&self) {
        while self.lost().is_none() {
            let left = self.patience.saturating_sub(self.silence());
            sleep(left + Duration::from_millis(1)).await;
        }
    }

    fn silence(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_millis(self.up_to_date.load(Ordering::Relaxed)))
    }

    /// It had everything that was answered anywhere before `asked`.
    fn note(&self, asked: Instant) {
        self.up_to_date.fetch_max(self.at(asked), Ordering::Relaxed);
        self.known.store(true, Ordering::Relaxed);
    }

    /// A majority has taken in what was proposed here then. Where disks are slow, that is heard of when answers to heartbeats,
    /// which wait for the same disks, come too late.
    pub(super) fn note_agreement(&self, proposed: Instant) {
        self.agreed.fetch_max(self.at(proposed), Ordering::Relaxed);
    }

    /// How long ago the last such proposal was made, if there was one.
    fn agreed(&self) -> Option<Duration> {
        let at = Some(self.agreed.load(Ordering::Relaxed)).filter(|at| *at > 0)?;
        Some(self.began.elapsed().saturating_sub(Duration::from_millis(at)))
    }

    fn at(&self, instant: Instant) -> u64 {
        let at = instant.saturating_duration_since(self.began).as_millis();
        u64::try_from(at).unwrap_or(u64::MAX)
    }
}

impl Node {
    /// When this node was known to be up to date last. Keeps nothing else of it.
    pub const fn contact(&self) -> &std::sync::Arc<Contact> {
        &self.contact
    }

    /// Knows whether this node is in contact with the others, and does what has to be done where it is not. Never returns.
    pub async fn keep_contact(&self) {
        tokio::join!(self.ask(), self.fall_silent(), self.learn_of_removal());
        std::future::pending().await
    }

    /// Asks the leader again and again how far the cluster is, until this node is no member any more.
    async fn ask(&self) {
        let mut peer: Option<(Leader, Peer)> = None;
        while !self.is_removed() {
            let asked = Instant::now();
            // What takes longer than that is asked anew.
            let answer = timeout(self.timing.commit / QUESTIONS, self.catch_up(&mut peer)).await;
            if answer.is_ok_and(|up_to_date| up_to_date) {
                self.contact.note(asked);
            }
            let known = self.contact.is_known();
            sleep(if known { self.timing.election * PULSE } else { self.timing.heartbeat }).await;
        }
    }

    /// A leader that hears nobody says nothing for a while, so that those that hear it elect one that they can answer.
    async fn fall_silent(&self) {
        let mut since = None;
        loop {
            sleep(self.timing.heartbeat).await;
            if !self.leads_nobody() {
                since = None;
                continue;
            }
            // One that was elected a moment ago has no answer yet.
            let patience =
                if self.is_deserted() { self.timing.election * SPEAKS_ON } else { self.timing.silence };
            if since.get_or_insert_with(Instant::now).elapsed() < patience {
                continue;
            }
            self.raft.runtime_config().heartbeat(false);
            let began = Instant::now();
            while self.leads_nobody() && began.elapsed() < self.timing.election * SILENT {
                sleep(self.timing.heartbeat).await;
            }
            self.raft.runtime_config().heartbeat(true);
            since = None;
        }
    }

    /// Asks the others whether this node was removed, whenever it does not hear how far the cluster is: who is removed hears
    /// nothing of it. Returns when it was.
    async fn learn_of_removal(&self) {
        let pause = self.timing.election * PULSE;
        while !self.is_removed() {
            sleep(pause).await;
            if self.contact.silence() > pause * 2 {
                let members = self.view().members;
                let others = members.iter().filter(|member| member.id != self.identity.node);
                join_all(others.map(|member| self.was_removed(&member.address))).await;
            }
        }
        // Where that was applied here, nobody else had to say it.
        self.told.send_replace(true);
    }

    /// Asks whoever is at an address whether this node was removed from its cluster. Where there is no answer it says no.
    pub async fn was_removed(&self, address: &str) -> bool {
        // Whoever it is: the one that was there may have lost its disk.
        let mut there = self.network.peer(0, address).quietly();
        let patience = self.timing.commit / QUESTIONS;
        let answer = timeout(patience, there.read_index(self.identity.node, patience)).await;
        let removed = matches!(answer, Ok(Ok(HowFar::Removed)));
        if removed {
            self.told.send_replace(true);
        }
        removed
    }

    /// Whether this node was a member of its cluster and is none any more, as far as it knows.
    pub fn is_removed(&self) -> bool {
        *self.told.borrow() || self.state.read().removed.contains(self.identity.node)
    }

    /// Returns once this node knows that it was removed.
    pub async fn removal(&self) {
        // It fails only where the node is gone, which this one is part of.
        drop(self.told.subscribe().wait_for(|told| *told).await);
    }

    /// Waits until this node has what the leader had at the call. Says whether the leader could be asked.
    async fn catch_up(&self, peer: &mut Option<(Leader, Peer)>) -> bool {
        let Some(leader) = self.leader() else { return false };
        let index = if leader.id == self.identity.node {
            self.read_index().await.ok()
        } else {
            let known = peer.take().filter(|(known, _)| *known == leader);
            let new = || (leader.clone(), self.network.peer(leader.id, &leader.address));
            let leader = &mut peer.insert(known.unwrap_or_else(new)).1;
            match leader.read_index(self.identity.node, self.timing.commit).await {
                Ok(HowFar::Index(index)) => Some(index),
                Ok(HowFar::Removed) => {
                    self.told.send_replace(true);
                    None
                }
                Err(_) => None,
            }
        };
        let Some(index) = index else { return false };
        let mut applied = self.state.watch();
        applied.wait_for(|applied| *applied >= index).await.is_ok()
    }

    /// Whether this node leads and too few others have answered for as long as a leader goes on without, or ever: somebody
    /// else may lead by now, or their disks stand still.
    pub fn leads_nobody(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let alone = metrics.membership_config.membership().voter_ids().eq([self.identity.node]);
        let answered = metrics.last_quorum_acked.map(|at| at.into_inner().elapsed());
        let answered = answered.into_iter().chain(self.contact.agreed()).min();
        metrics.state == ServerState::Leader
            && !alone
            && answered.is_none_or(|ago| ago > self.timing.silence)
            && !planted::is(Bug::LeadNobody)
    }

    /// Whether it leads nobody any more, and is not one that was elected a moment ago either.
    pub fn is_deserted(&self) -> bool {
        self.leads_nobody() && self.raft.metrics().borrow_watched().last_quorum_acked.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn contact_is_lost_when_it_was_not_noted_for_too_long() {
        let contact = Contact::new(PATIENCE);
        assert!(!contact.is_known());
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(contact.lost(), None);
        contact.note(Instant::now());
        assert!(contact.is_known());
        let noted = Instant::now();
        timeout(PATIENCE, contact.until_lost()).await.unwrap_err();
        timeout(PATIENCE, contact.until_lost()).await.unwrap();
        assert!(noted.elapsed() >= PATIENCE && contact.lost().unwrap() > PATIENCE);
        // An answer that took long says how it was when it was asked for, and an older one changes nothing.
        contact.note(noted + Duration::from_secs(1));
        contact.note(noted);
        assert_eq!(contact.lost(), None);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(contact.lost().is_some());
    }
}
