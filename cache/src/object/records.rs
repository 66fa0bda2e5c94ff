//! [`Objects`] over a bucket.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};

use super::Place;
use crate::objects::{MOST_DATA, MOST_RECORD};
use crate::{Objects, RecordName, StoreError};

/// Records and data in a bucket.
///
/// ```text
/// <area>[@<scope>]/<function>/<2 hex>/<hash>-<size>   a record
/// data/<2 hex>/<sha256>-<size>                        data
/// ```
#[derive(Debug, Clone)]
pub(crate) struct ObjectRecords {
    pub(super) place: Arc<Place>,
}

impl ObjectRecords {
    pub(crate) fn new(place: &Arc<Place>) -> Self {
        Self { place: Arc::clone(place) }
    }

    /// An object whose length `wants` likes.
    async fn read(
        &self,
        path: &Path,
        wants: impl Fn(u64) -> bool + Send + Sync,
    ) -> Result<Option<Bytes>, StoreError> {
        let wants = &wants;
        // Begun again as a whole: what is read is one request long.
        let read = || async move {
            let found = self.place.objects.get(path).await?;
            if wants(found.meta.size) { found.bytes().await.map(Some) } else { Ok(None) }
        };
        Ok(self.place.request("read from", read).await?.flatten())
    }

    /// How long an object is, if there is one.
    async fn len(&self, path: &Path) -> Result<Option<u64>, StoreError> {
        let found = self.place.request("look into", || self.place.objects.head(path)).await?;
        Ok(found.map(|meta| meta.size))
    }

    async fn write(&self, path: Path, bytes: Bytes, most: u64) -> Result<(), StoreError> {
        if bytes.len() as u64 > most {
            let why = format!("{} bytes are more than the {most} that are ever read", bytes.len());
            return Err(StoreError::remote("store in", self.place.name(), why));
        }
        let put = || self.place.objects.put(&path, PutPayload::from_bytes(bytes.clone()));
        self.place.must("store in", put).await.map(drop)
    }

    async fn remove(&self, path: &Path) -> Result<(), StoreError> {
        self.place.request("delete from", || self.place.objects.delete(path)).await.map(drop)
    }
}

#[async_trait]
impl Objects for ObjectRecords {
    fn place(&self) -> &str {
        self.place.name()
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        self.read(&self.place.record(name), |len| len <= MOST_RECORD).await
    }

    async fn has_record(&self, name: &RecordName) -> Result<bool, StoreError> {
        Ok(self.len(&self.place.record(name)).await?.is_some_and(|len| len <= MOST_RECORD))
    }

    async fn put_record(&self, name: &RecordName, bytes: Bytes, _: &[Digest]) -> Result<(), StoreError> {
        self.write(self.place.record(name), bytes, MOST_RECORD).await
    }

    async fn remove_record(&self, name: &RecordName) -> Result<(), StoreError> {
        self.remove(&self.place.record(name)).await
    }

    async fn data(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        let size = digest.size();
        let found = self.read(&self.place.data(digest), move |len| len == size).await?;
        found.ok_or(StoreError::NotFound { digest: *digest })
    }

    async fn has_data(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.len(&self.place.data(digest)).await? == Some(digest.size()))
    }

    async fn put_data(&self, digest: &Digest, bytes: Bytes) -> Result<(), StoreError> {
        self.write(self.place.data(digest), bytes, MOST_DATA).await
    }

    async fn remove_data(&self, digest: &Digest) -> Result<(), StoreError> {
        self.remove(&self.place.data(digest)).await
    }
}
