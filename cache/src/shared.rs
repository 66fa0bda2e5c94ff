//! The cache that machines share: where its backend and decorators are put together, and nowhere else.

use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::DigestFunction;

use crate::collect::Rescuing;
use crate::object::{Location, ObjectOptions, ObjectRecords, Place};
use crate::objects::ReadOnlyObjects;
use crate::packed::{PackedActions, PackedBlobs};
use crate::{
    ActionCache, BlobStore, CompletenessChecking, Forgiving, Objects, Scope, SharedBlobs, StoreError,
    Verifying,
};

/// The cache at a location, ready for use. Clones share everything.
#[derive(Debug, Clone)]
pub struct SharedCache {
    /// Blobs; what is read is checked.
    pub blobs: Arc<dyn BlobStore>,
    /// Results; only complete ones are hits, and trouble is a miss.
    pub actions: Arc<dyn ActionCache>,
    /// Every result there is, complete or not, and trouble is an error: for whoever has blobs of his own beside these.
    pub all_actions: Arc<dyn ActionCache>,
    /// What pipelines found the last time; none where each lookup is fast.
    pub runs: Option<PackedActions>,
    /// The blobs as a tier behind a local disk; see [`crate::Tiers`].
    pub objects: Arc<dyn SharedBlobs>,
    /// What tells complete results from others.
    pub completeness: Arc<CompletenessChecking>,
}

impl SharedCache {
    /// Opens the cache at a location such as `/mnt/cullet` or `s3://BUCKET/PREFIX`.
    ///
    /// # Errors
    /// [`StoreError::Location`] for what is no location or lacks something, an I/O error where a directory cannot
    /// be made or opened. A bucket is not asked before it is used.
    pub fn open(location: &str, options: &ObjectOptions) -> Result<Self, StoreError> {
        let location = location.parse::<Location>()?;
        let place = Place::open(&location, options)?;
        if let Some((blobs, results)) = place.as_files() {
            // A file for each blob: opening one is no request that takes long.
            return Ok(Self::stacked(Arc::new(blobs), Arc::new(results)));
        }
        let objects: Arc<dyn Objects> = Arc::new(ObjectRecords::new(&place));
        // Who writes sees to it that nothing is collected on which it relies.
        let objects = if options.read_only { objects } else { Arc::new(Rescuing::new(objects)) };
        Self::over(objects, options)
    }

    /// The cache over storage where every request takes long.
    ///
    /// # Errors
    /// Where the directory for large blobs cannot be made.
    pub fn over(objects: Arc<dyn Objects>, options: &ObjectOptions) -> Result<Self, StoreError> {
        let objects: Arc<dyn Objects> =
            if options.read_only { Arc::new(ReadOnlyObjects::new(objects)) } else { objects };
        let blobs = PackedBlobs::new(objects, &options.spool)?;
        let all = PackedActions::new(&blobs, &Scope::Protected);
        let runs = Some(all.clone());
        Ok(Self { runs, ..Self::stacked(Arc::new(blobs), Arc::new(all)) })
    }

    fn stacked<S: SharedBlobs + 'static>(objects: Arc<S>, all: Arc<dyn ActionCache>) -> Self {
        let blobs: Arc<dyn BlobStore> = Arc::new(Verifying::new(objects.clone(), objects.clone()));
        let completeness = CompletenessChecking::new(all.clone(), blobs.clone()).with_trees(objects.clone());
        let completeness = Arc::new(completeness);
        let actions = Arc::new(Forgiving::new(completeness.clone()));
        Self { blobs, actions, all_actions: all, runs: None, objects, completeness }
    }

    /// Stores and reads a few bytes, so that a wrong bucket or credentials show before anything depends on them.
    ///
    /// # Errors
    /// What keeps the location from being used.
    pub async fn probe(&self) -> Result<(), StoreError> {
        const BYTES: &[u8] = b"cullet\n";
        let digest = DigestFunction::Blake3.digest(BYTES);
        self.blobs.put(&digest, Bytes::from_static(BYTES).into()).await?;
        self.blobs.get(&digest).await.map(drop)
    }
}
