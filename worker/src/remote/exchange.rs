//! The way of blobs between this worker and the rest of the cluster.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use cullet_cache::disk::DiskStore;
use cullet_cache::{ActionResult, StoreError, Tiers};
use cullet_digest::{Digest, DigestFunction, TreeRef};

use crate::LocalFiles;
use crate::attempt::sentence;

/// What attempts need of the cluster besides single blobs.
#[async_trait]
pub trait Exchange: Debug + Send + Sync {
    /// Brings everything in an input root to the local disk, many blobs at a time. Only for speed: what is still
    /// missing afterwards is fetched, or found to be lost, when the input root is made.
    async fn prefetch(&self, input_root: &Digest);

    /// Brings a tree to the local disk from other workers that said to have it, by their addresses. Only for speed, as
    /// above, so that doing nothing is right as well.
    async fn prefetch_from(&self, _tree: &TreeRef, _holders: &[String]) {}

    /// Stores every blob that the result names, and everything below its directories, where the whole cluster reads.
    /// When this returns the result may be relied on. Doing it again costs little.
    ///
    /// # Errors
    /// In a sentence.
    async fn publish(&self, result: &ActionResult) -> Result<(), String>;
}

#[async_trait]
impl Exchange for Tiers {
    async fn prefetch(&self, input_root: &Digest) {
        if let Err(error) = self.fetch_tree(input_root).await {
            tracing::debug!(%input_root, %error, "an input root could not be fetched at once");
        }
    }

    async fn publish(&self, result: &ActionResult) -> Result<(), String> {
        self.upload(result).await.map(drop).map_err(|error| sentence(&error))
    }
}

/// The files of a local disk that the rest of the cluster stands behind.
#[derive(Debug, Clone)]
pub struct TieredFiles {
    /// The disk of the tiers.
    pub disk: Arc<DiskStore>,
    /// Where a blob comes from that is not on it.
    pub tiers: Tiers,
}

impl LocalFiles for TieredFiles {
    fn link_to(&self, digest: &Digest, executable: bool, dest: &Path) -> Result<(), StoreError> {
        match self.disk.link_to(digest, executable, dest) {
            // Not here, damaged here, or evicted just now.
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => {
                self.tiers.fetch_local(digest)?;
                self.disk.link_to(digest, executable, dest)
            }
            linked => linked,
        }
    }

    fn adopt_file(&self, path: &Path, function: DigestFunction) -> Result<Digest, StoreError> {
        self.disk.adopt_file(path, function)
    }

    fn adopt_copy(&self, path: &Path, function: DigestFunction) -> Result<Digest, StoreError> {
        self.disk.adopt_copy(path, function)
    }

    fn ingest_copy(&self, expected: &Digest, source: &Path) -> Result<(), StoreError> {
        self.disk.ingest_copy(expected, source)
    }
}
