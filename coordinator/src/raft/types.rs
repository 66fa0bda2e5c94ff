//! What raft carries here.

use std::fmt;

use cullet_core::{Effect, LogCommand};
use serde::{Deserialize, Serialize};

/// A coordinator's number: drawn when its data directory is made, never used for another directory.
pub type NodeId = u64;

/// Commands that are committed together, so that they share what a round through raft costs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch(pub Vec<LogCommand>);

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// For raft's own log lines: a batch can be megabytes.
impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commands", self.0.len())
    }
}

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
