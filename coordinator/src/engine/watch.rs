//! What happens because time passes: workers are lost, and what is due is done.

use std::sync::Arc;
use std::time::Duration;

use cullet_core::{Effect, LogCommand, Settings, WorkerId};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Leading;

/// How often is looked, for a lease: a lost worker is noticed with a twentieth of it too late at most.
const LOOKS_PER_LEASE: u32 = 20;

/// Bounds of it, so that neither a long lease delays what is due nor a short one keeps a processor busy.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(500);

/// How often all steps are looked at, which takes some milliseconds where there are many.
const ALL: Duration = Duration::from_secs(30);

/// Between two tries to finish a change of members.
const FINISHING_AGAIN: Duration = Duration::from_secs(2);

impl Leading {
    /// Looks from time to time. Returns when this coordinator had better not lead any more: without a majority it decides
    /// nothing, and workers that attend to it miss the one that does.
    pub(super) async fn watch(self: &Arc<Self>, settings: Option<Settings>) {
        self.configure(settings).await;
        #[cfg(feature = "next-version")]
        self.rehearse().await;
        let node = self.node.clone();
        self.spawn(async move {
            while let Err(error) = node.finish_change().await {
                tracing::warn!(%error, "a change of the members is not finished");
                tokio::time::sleep(FINISHING_AGAIN).await;
            }
        });
        let mut looks = interval((self.lease / LOOKS_PER_LEASE).clamp(SHORTEST, LONGEST));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked_at_all = Instant::now();
        loop {
            looks.tick().await;
            if looked_at_all.elapsed() >= ALL {
                self.look_at_all();
                looked_at_all = Instant::now();
            }
            if self.node.leads_nobody() {
                tracing::warn!("too few coordinators answer: leads no more");
                return;
            }
            // Raft may take itself for the leader for ever after that: nobody tells it who is.
            if self.node.is_removed() {
                tracing::info!("was taken out of the cluster: leads no more");
                return;
            }
            let all: Vec<WorkerId> = self.read(|state| state.workers().map(|worker| worker.id).collect());
            for worker in self.attendance.overdue(&all, self.lease) {
                let reason = format!("nothing was heard of it for {} s", self.lease.as_secs_f32());
                self.metrics.leases_lost.inc();
                tracing::warn!(worker = worker.0, reason, "a worker is lost");
                self.tell(LogCommand::WorkerLeft { worker, reason: reason.into(), at: self.now() }).await;
            }
            for id in self.backlog.ask_again() {
                tracing::error!(run = %id.run, step = id.step, "a lookup was not answered: once more");
            }
            let (due, now) = (self.read(cullet_core::State::next_deadline), self.now());
            if due.is_some_and(|due| due <= now) {
                self.tell(LogCommand::Tick { at: now }).await;
            }
        }
    }

    /// Every step that waits for its action is to be asked for, come what may: nothing else would ever end it.
    fn look_at_all(&self) {
        let outstanding = self.read(cullet_core::State::outstanding);
        let missing = outstanding.iter().filter_map(|effect| match effect {
            Effect::Resolve { id, bypass_cache } => Some((*id, *bypass_cache)),
            _ => None,
        });
        for id in self.backlog.ask_for_forgotten(&missing.collect::<Vec<_>>()) {
            tracing::error!(run = %id.run, step = id.step, "nobody asked for a lookup: done now");
        }
    }
}
