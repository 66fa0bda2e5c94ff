//! Local disk, then other machines, then the shared store.
//!
//! A blob that is asked for is brought to the local disk first, from whoever has it. Everyone who waits for the same
//! blob waits for one transfer, and only bytes that are those of the digest are kept: a peer that sends others is
//! refused, and the next tier is asked. Peers are an optimisation with a short deadline; the shared store decides
//! whether a blob exists.

pub(crate) mod counts;
mod fetch;
mod peers;
mod together;
pub(crate) mod upload;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

pub use self::counts::{Moved, TierCounts};
pub use self::peers::{NoPeers, Peers};
use crate::children::ChildrenCache;
use crate::receive::Patience;
use crate::single_flight::SingleFlight;
use crate::spool::Spool;
use crate::{Blob, BlobStore, Discard, DiskStore, Origin, StoreError, Trees, Verifying, blocking};

/// Machines that are asked first, the most promising at the front.
type Holders = Arc<[Arc<dyn Origin>]>;

/// What a shared store must be able to do: be written, send blobs, keep trees together or say that it does not, and drop
/// what is damaged.
pub trait SharedBlobs: BlobStore + Origin + Trees + Discard {}

impl<T: BlobStore + Origin + Trees + Discard> SharedBlobs for T {}

/// Directories in one tree, as for checking whether a result is complete.
const MOST_DIRECTORIES: usize = 1 << 20;

/// How patient to be with the tiers.
#[derive(Debug, Clone)]
pub struct TiersOptions {
    /// How long a peer may take to answer, and to send its next piece.
    pub peer_deadline: Duration,
    /// The same for the shared store. Not less than what that needs for its own retries.
    pub shared_deadline: Duration,
    /// How often the shared store is asked again, without progress, for a passing reason.
    pub retries: u32,
    /// Blobs that are fetched at the same time.
    pub fetches: usize,
}

impl Default for TiersOptions {
    fn default() -> Self {
        Self {
            peer_deadline: Duration::from_secs(2),
            shared_deadline: Duration::from_secs(120),
            retries: 1,
            fetches: 32,
        }
    }
}

/// The blobs of a machine in a cluster. Clones share everything.
#[derive(Debug, Clone)]
pub struct Tiers {
    pub(self) inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    disk: Arc<DiskStore>,
    /// The same, checked.
    local: Verifying,
    peers: Arc<dyn Peers>,
    shared: Arc<dyn SharedBlobs>,
    from_peer: Patience,
    from_shared: Patience,
    fetches: usize,
    permits: Semaphore,
    packs: Semaphore,
    flights: SingleFlight<Result<(), StoreError>>,
    /// Trees that come together, and whether they do.
    trees: SingleFlight<Result<bool, StoreError>>,
    children: ChildrenCache,
    counters: counts::Counters,
    runtime: Handle,
}

impl Tiers {
    /// Puts the tiers together. `runtime` does the work of callers that block.
    ///
    /// # Errors
    /// Where the local disk cannot be written.
    pub fn new(
        disk: Arc<DiskStore>,
        peers: Arc<dyn Peers>,
        shared: Arc<dyn SharedBlobs>,
        options: &TiersOptions,
        runtime: Handle,
    ) -> Result<Self, StoreError> {
        let spool = Arc::new(Spool::of(&disk)?);
        let patience = |deadline, retries| Patience { deadline, retries, spool: Arc::clone(&spool) };
        let inner = Inner {
            local: Verifying::new(disk.clone(), disk.clone()),
            disk,
            peers,
            shared,
            from_peer: patience(options.peer_deadline, 0),
            from_shared: patience(options.shared_deadline, options.retries),
            fetches: options.fetches,
            permits: Semaphore::new(options.fetches),
            packs: Semaphore::new(together::PACKS),
            flights: SingleFlight::default(),
            trees: SingleFlight::default(),
            children: ChildrenCache::default(),
            counters: counts::Counters::default(),
            runtime,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Brings the blob to the local disk, where it stays as long as a live run needs it. One that is there is not
    /// read: who finds it damaged, which removes it, asks once more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the shared store does not have it either; [`StoreError::Mismatch`] where it
    /// had other bytes, which it then drops.
    pub async fn fetch(&self, digest: &Digest) -> Result<(), StoreError> {
        self.fetch_from(digest, &Holders::default()).await
    }

    /// [`Tiers::fetch`] where these are asked before anybody else.
    async fn fetch_from(&self, digest: &Digest, holders: &Holders) -> Result<(), StoreError> {
        if self.inner.disk.has(digest)? {
            return Ok(());
        }
        let (inner, of, holders) = (Arc::clone(&self.inner), *digest, Arc::clone(holders));
        self.inner.flights.run(digest, || async move { inner.bring(&of, &holders).await }.boxed()).await
    }

    /// [`Tiers::fetch`] for callers that block, on threads that are not the runtime's.
    ///
    /// # Errors
    /// As for [`Tiers::fetch`].
    pub fn fetch_local(&self, digest: &Digest) -> Result<(), StoreError> {
        if self.inner.disk.has(digest)? {
            return Ok(());
        }
        let (tiers, of) = (self.clone(), *digest);
        blocking::wait(&self.inner.runtime, async move { tiers.fetch(&of).await })?
    }

    /// [`Tiers::fetch_tree`] for callers that block, on threads that are not the runtime's.
    ///
    /// # Errors
    /// As for [`Tiers::fetch_tree`].
    pub fn fetch_tree_local(&self, root: &Digest) -> Result<(), StoreError> {
        let (tiers, of) = (self.clone(), *root);
        blocking::wait(&self.inner.runtime, async move { tiers.fetch_tree(&of).await })?
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for Tiers {
    /// What neither the local disk nor the shared store has. Peers are not asked: what only they have may be gone
    /// with them. Where the shared store cannot be asked, what is not here is missing.
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let missing = self.inner.local.find_missing(digests).await?;
        if missing.is_empty() {
            return Ok(missing);
        }
        Ok(self.inner.shared.find_missing(&missing).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the shared store cannot be asked");
            missing
        }))
    }

    /// The blob, once it is on the local disk.
    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        self.fetch(digest).await?;
        match self.inner.local.get(digest).await {
            // It was damaged, or evicted just now: once more.
            Err(StoreError::Mismatch { .. } | StoreError::NotFound { .. }) => {}
            outcome => return outcome,
        }
        self.fetch(digest).await?;
        self.inner.local.get(digest).await
    }

    /// Stores on the local disk only; see [`Tiers::upload`].
    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.inner.local.put(digest, blob).await
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        self.inner.local.put_small(blobs).await
    }
}
