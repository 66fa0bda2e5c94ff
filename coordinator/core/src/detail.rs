//! What there is to say of an attempt that decides nothing.

use cullet_digest::Digest;
use serde::{Deserialize, Serialize};

/// What a worker says of an attempt besides, for whoever watches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// A blob whose content is none of the core's business.
    pub blob: Option<Digest>,
    /// What it took, where that is known.
    pub usage: Option<Usage>,
}

/// What the processes of an attempt took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time, milliseconds.
    pub cpu_ms: u64,
    /// The most memory at one time, bytes.
    pub peak_memory_bytes: u64,
    /// Read from disks, bytes.
    pub read_bytes: u64,
    /// Written and meant for disks, bytes.
    pub written_bytes: u64,
}
