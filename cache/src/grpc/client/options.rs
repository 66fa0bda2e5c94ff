//! How to talk to servers of blobs.

use std::path::PathBuf;
use std::time::Duration;

/// How to talk to servers of blobs, and how patient to be with them.
#[derive(Debug, Clone)]
pub struct GrpcOptions {
    /// The instance name; usually empty.
    pub instance: String,
    /// A directory for large blobs on their way.
    pub spool: PathBuf,
    /// How long a call without streams may take, and how long a stream may stand still.
    pub deadline: Duration,
    /// How often one endpoint is tried again, without progress, before the operation fails.
    pub retries: u32,
}

impl GrpcOptions {
    /// The usual: the empty instance, 20 seconds, three retries.
    pub fn new(spool: impl Into<PathBuf>) -> Self {
        let deadline = Duration::from_secs(20);
        Self { instance: String::new(), spool: spool.into(), deadline, retries: 3 }
    }

    /// For fetching from a peer, where a shared store can be asked instead: two seconds, and no second attempt.
    pub fn peer(spool: impl Into<PathBuf>) -> Self {
        Self { deadline: Duration::from_secs(2), retries: 0, ..Self::new(spool) }
    }
}
