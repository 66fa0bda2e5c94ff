//! What went from one tier to another.

use std::sync::atomic::{AtomicU64, Ordering};

use cullet_digest::Digest;

use super::Tiers;

/// Blobs and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// How many.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl std::ops::AddAssign for Moved {
    fn add_assign(&mut self, other: Self) {
        self.blobs += other.blobs;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What was moved since the tiers were put together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TierCounts {
    /// Fetched from other machines.
    pub from_peers: Moved,
    /// Fetched from the shared store.
    pub from_shared: Moved,
    /// Sent to the shared store.
    pub uploaded: Moved,
}

#[derive(Debug, Default)]
pub(crate) struct Counter {
    blobs: AtomicU64,
    bytes: AtomicU64,
}

impl Counter {
    pub(super) fn count(&self, digest: &Digest) {
        self.blobs.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(digest.size(), Ordering::Relaxed);
    }

    pub(crate) fn add(&self, moved: Moved) {
        self.blobs.fetch_add(moved.blobs, Ordering::Relaxed);
        self.bytes.fetch_add(moved.bytes, Ordering::Relaxed);
    }

    fn get(&self) -> Moved {
        Moved { blobs: self.blobs.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) from_peers: Counter,
    pub(super) from_shared: Counter,
    pub(super) uploaded: Counter,
}

impl Tiers {
    /// What was moved so far.
    pub fn counts(&self) -> TierCounts {
        let Counters { from_peers, from_shared, uploaded } = &self.inner.counters;
        TierCounts { from_peers: from_peers.get(), from_shared: from_shared.get(), uploaded: uploaded.get() }
    }
}
