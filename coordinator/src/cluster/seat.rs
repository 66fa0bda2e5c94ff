//! This coordinator's place, taken or not.

use std::sync::{Mutex, PoisonError};

use cullet_proto::Dial;
use cullet_raft_log::ClusterId;
use tokio::sync::watch;

use crate::raft::{MemberView, Node, NodeId};

/// What is said of one that was a member and is none any more.
const REMOVED: &str = "it was removed from the cluster, and joins again only with an empty data directory";

/// A coordinator that serves before it belongs to a cluster, so that the others can find it.
#[derive(Debug)]
pub struct Seat {
    /// The number it will have in a cluster it has not been part of.
    fresh: NodeId,
    /// Where others reach it, as `http://host:port`.
    address: String,
    /// The way to the others.
    dial: Dial,
    node: watch::Sender<Option<Node>>,
    /// What ended its last part, until it takes part again.
    trouble: Mutex<Option<String>>,
}

impl Seat {
    /// A place that is not taken. `fresh` is drawn at random by the caller.
    pub fn new(fresh: NodeId, address: String) -> Self {
        let (dial, node) = (Dial::default(), watch::Sender::new(None));
        Self { fresh, address, dial, node, trouble: Mutex::default() }
    }

    /// The same on another network.
    #[must_use]
    pub fn dialing(self, dial: Dial) -> Self {
        Self { dial, ..self }
    }

    /// Where others reach this coordinator.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The way to the others.
    pub const fn dial(&self) -> &Dial {
        &self.dial
    }

    /// Its part in raft, while it has one.
    pub fn node(&self) -> Option<Node> {
        self.node.borrow().clone()
    }

    /// Tells when it takes a part in raft and when it has none any more.
    pub fn watch(&self) -> watch::Receiver<Option<Node>> {
        self.node.subscribe()
    }

    /// Its number.
    pub fn id(&self) -> NodeId {
        self.node().map_or(self.fresh, |node| node.identity().node)
    }

    /// The cluster it belongs to.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.node().map(|node| node.identity().cluster)
    }

    /// Takes the place.
    pub fn take(&self, node: Node) {
        self.node.send_replace(Some(node));
    }

    /// Gives it up, and gives whoever had it.
    pub fn leave(&self) -> Option<Node> {
        self.node.send_replace(None)
    }

    /// Gives it up until the disk has space again, for this reason, which is said until then.
    pub fn leave_for_the_disk(&self, reason: String) -> Option<Node> {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        self.leave()
    }

    /// Why it cannot take part in deciding, or nothing if it can.
    pub fn not_ready(&self) -> Option<String> {
        let lacking = self.lacking();
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (&lacking, &*trouble) {
            (None, _) => *trouble = None,
            (Some(lacking), Some(disk)) if lacking != REMOVED => {
                return Some(format!("its disk failed, and it tries again until it has space: {disk}"));
            }
            _ => {}
        }
        lacking
    }

    fn lacking(&self) -> Option<String> {
        let Some(node) = self.node() else { return Some("it has not found its cluster yet".to_owned()) };
        if node.is_removed() {
            return Some(REMOVED.to_owned());
        }
        let view = node.view();
        if let Some(failed) = view.failed {
            return Some(format!("it has stopped: {failed}"));
        }
        if !view.members.iter().any(|member| member.id == self.id()) {
            return Some("the cluster has not taken it in yet".to_owned());
        }
        if view.leader.is_none() {
            return Some("no leader is known".to_owned());
        }
        if !node.contact().is_known() {
            return Some("it has not heard yet how far the cluster is".to_owned());
        }
        let lost = node.contact().lost()?;
        Some(format!("for {:.1} s nobody said how far the cluster is", lost.as_secs_f32()))
    }

    pub(super) fn members(&self) -> Vec<MemberView> {
        self.node().map(|node| node.view().members).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_what_keeps_it_out() {
        let seat = Seat::new(1, "http://c-0:1".to_owned());
        assert_eq!(seat.not_ready().as_deref(), Some("it has not found its cluster yet"));
        assert!(seat.leave_for_the_disk("no space left on device".to_owned()).is_none());
        let said = "its disk failed, and it tries again until it has space: no space left on device";
        assert_eq!(seat.not_ready().as_deref(), Some(said));
    }
}
