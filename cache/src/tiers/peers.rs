//! Machines that may have a blob.

use std::fmt::Debug;
use std::sync::Arc;

use cullet_digest::Digest;

use crate::Origin;

/// Knows which machines may have which blobs.
pub trait Peers: Debug + Send + Sync {
    /// Who may have the blob, the most promising first. May be wrong, may be nobody; does not block. Only the first
    /// few are asked.
    fn holders(&self, digest: &Digest) -> Vec<Arc<dyn Origin>>;
}

/// No other machines.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPeers;

impl Peers for NoPeers {
    fn holders(&self, _: &Digest) -> Vec<Arc<dyn Origin>> {
        Vec::new()
    }
}
