//! What raft carries here.

use cullet_core::Effect;
use serde::{Deserialize, Serialize};

use super::batch::Batch;

/// A coordinator's number: drawn when its data directory is made, never used for another directory.
pub type NodeId = u64;

/// What the node that proposed a batch has to do about it. Never leaves the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// In the order of the commands.
    pub effects: Vec<Effect>,
}

/// Where a coordinator is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// As `http://host:port`.
    pub address: String,
}

openraft::declare_raft_types!(
    /// The types of Cullet's raft.
    pub Types:
        D = Batch,
        R = Applied,
        NodeId = NodeId,
        Node = Member,
);
