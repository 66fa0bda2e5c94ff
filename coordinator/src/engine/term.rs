//! From becoming the leader to being none any more.

use std::sync::Arc;
use std::time::Duration;

use cullet_core::{LogCommand, NEWEST_VERSION};
use tokio::sync::mpsc;

use super::keeping::KEPT;
use super::proposals::QUEUE;
use super::{Engine, Leading};
use crate::cluster::upgrade;
use crate::planted::{self, Bug};
use crate::raft::{Batch, Node, ProposeError};

/// Between two tries to be confirmed as the leader, or to lead again in the same term: the others have to be asked.
const AGAIN: Duration = Duration::from_millis(50);

impl Engine {
    /// Leads whenever it is this coordinator's turn. Never returns.
    pub async fn run(&self) {
        let mut seats = self.seat.watch();
        loop {
            let node = seats.borrow_and_update().clone();
            let taken = async {
                match node {
                    Some(node) => tokio::join!(self.take_turns(&node), node.keep_contact()),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = seats.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                }
                ((), ()) = taken => {}
            }
            // Whatever ended it: nobody leads here now.
            self.leading.send_replace(None);
        }
    }

    async fn take_turns(&self, node: &Node) {
        let mut known = (0, None);
        loop {
            known = node.leader_change(known).await;
            self.metrics.led_by(known.1);
            while known.1 == Some(node.identity().node) {
                let change = node.leader_change(known);
                tokio::select! {
                    changed = change => {
                        known = changed;
                        self.metrics.led_by(known.1);
                    }
                    () = self.lead(node) => tokio::time::sleep(AGAIN).await,
                }
                self.leading.send_replace(None);
            }
        }
    }

    /// Leads until something does not get through. Never returns where this node can never lead again: where raft has stopped
    /// on it, or the cluster has removed it.
    async fn lead(&self, node: &Node) {
        // Something written, though nothing is said: what this coordinator proposed before and gave up on may still be on
        // its way, and the effects of that are nobody's. Once this is applied, all of it is, and is outstanding.
        loop {
            if node.is_removed() {
                return std::future::pending().await;
            }
            // It would only make the log longer.
            while node.leads_nobody() {
                tokio::time::sleep(AGAIN).await;
            }
            let ready = if planted::is(Bug::LeadEarly) {
                node.barrier().await
            } else {
                node.propose(Batch::default()).await.map(drop)
            };
            match ready {
                Ok(()) => break,
                Err(ProposeError::Stopped { .. }) => return std::future::pending().await,
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
        self.begin_new(node).await;
        let (queue, proposals) = mpsc::channel(QUEUE);
        let (keep, kept) = mpsc::channel(KEPT);
        let leading = Arc::new(Leading::new(self, node.clone(), queue, keep));
        // However this future ends, with a return or by being dropped, so do the tasks of the term.
        let _end = leading.end.clone().drop_guard();
        tracing::info!(term = node.view().term, "leads");
        let outstanding = leading.read(cullet_core::State::outstanding);
        if !planted::is(Bug::ForgetOutstanding) {
            leading.perform(outstanding);
        }
        leading.begin_audits();
        self.leading.send_replace(Some(Arc::clone(&leading)));
        tokio::select! {
            error = leading.drive(proposals) => tracing::warn!(%error, "leads no more"),
            () = leading.look_up() => {}
            () = leading.keep_actions(kept) => {}
            () = leading.watch(self.config.settings.clone()) => {}
        }
    }
}

impl Engine {
    /// Lets a new cluster begin with the newest version that all of its coordinators know. Any other is upgraded when its
    /// operator says so, who may want to go back to the older program until then.
    async fn begin_new(&self, node: &Node) {
        let is_new = {
            let applying = node.state().read();
            applying.state.applied_commands() == 0 && applying.state.version() < NEWEST_VERSION
        };
        if is_new && let Err(error) = upgrade(&self.seat, node).await {
            tracing::warn!(%error, "the new cluster begins with the first version of the log");
        }
    }
}

impl Leading {
    /// Says what only the next version can say, where the cluster has it.
    #[cfg(feature = "next-version")]
    pub(super) async fn rehearse(&self) {
        if self.read(cullet_core::State::version) >= NEWEST_VERSION {
            self.tell(LogCommand::Rehearse).await;
        }
    }

    /// Brings the settings of this coordinator where they are not those of the cluster.
    pub(super) async fn configure(&self, settings: Option<cullet_core::Settings>) {
        let Some(settings) = settings else { return };
        if self.read(|state| *state.settings() != settings) {
            self.tell(LogCommand::Configure { settings: Box::new(settings), at: self.now() }).await;
        }
    }
}
