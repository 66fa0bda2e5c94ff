//! The cache that machines share: where its backend and decorators are put together, and nowhere else.

use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::DigestFunction;

use crate::object::{Location, ObjectActions, ObjectBlobs, ObjectOptions, Place};
use crate::{ActionCache, BlobStore, CompletenessChecking, Forgiving, StoreError, Verifying};

/// The cache at a location, ready for use. Clones share everything.
#[derive(Debug, Clone)]
pub struct SharedCache {
    /// Blobs; what is read is checked.
    pub blobs: Arc<dyn BlobStore>,
    /// Results; only complete ones are hits, and trouble is a miss.
    pub actions: Arc<dyn ActionCache>,
    /// Every result there is, complete or not, and trouble is an error: for whoever has blobs of his own beside these.
    pub all_actions: Arc<dyn ActionCache>,
    /// The blobs as a tier behind a local disk; see [`crate::Tiers`].
    pub objects: Arc<ObjectBlobs>,
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
        let place = Place::open(&location.parse::<Location>()?, options)?;
        let objects = Arc::new(ObjectBlobs::new(&place));
        let blobs: Arc<dyn BlobStore> = Arc::new(Verifying::new(objects.clone(), objects.clone()));
        let all: Arc<dyn ActionCache> = Arc::new(ObjectActions::new(&place));
        let completeness = Arc::new(CompletenessChecking::new(all.clone(), blobs.clone()));
        let actions = Arc::new(Forgiving::new(completeness.clone()));
        Ok(Self { blobs, actions, all_actions: all, objects, completeness })
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
