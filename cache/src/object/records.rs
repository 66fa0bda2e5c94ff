//! [`Objects`] over a place.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path as FilePath;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload};

use super::Place;
use super::files::{Over, Small};
use crate::objects::MOST_RECORD;
use crate::{Objects, RecordName, StoreError};

/// Records and data in a bucket, or in a directory.
///
/// ```text
/// <area>[@<scope>]/<function>/<2 hex>/<hash>-<size>   a record
/// data/<2 hex>/<sha256>-<size>                        data
/// ```
#[derive(Debug, Clone)]
pub(crate) struct ObjectRecords {
    place: Arc<Place>,
}

impl ObjectRecords {
    pub(crate) fn new(place: &Arc<Place>) -> Self {
        Self { place: Arc::clone(place) }
    }

    /// An object whose length `wants` likes.
    async fn read(
        &self,
        path: &Path,
        wants: impl Fn(u64) -> bool + Send + 'static,
    ) -> Result<Option<Bytes>, StoreError> {
        if let Some(files) = &self.place.files {
            let read = move |path: &FilePath| {
                read_file(path, wants).map_err(|error| StoreError::io("read", path, error))
            };
            return files.read(path, read).await;
        }
        let read = async {
            let found = self.place.objects.get_opts(path, Default::default()).await?;
            if wants(found.meta.size) { found.bytes().await.map(Some) } else { Ok(None) }
        };
        Ok(self.place.request("read from", read).await?.flatten())
    }

    /// How long an object is, if there is one.
    async fn len(&self, path: &Path) -> Result<Option<u64>, StoreError> {
        if let Some(files) = &self.place.files {
            let look = |path: &FilePath| match std::fs::metadata(path) {
                Ok(found) => Ok(found.is_file().then(|| found.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(StoreError::io("read", path, error)),
            };
            return files.read(path, look).await;
        }
        let found = self.place.request("look into", self.place.objects.head(path)).await?;
        Ok(found.map(|meta| meta.size))
    }

    async fn write(&self, name: Path, bytes: Bytes, over: Over) -> Result<(), StoreError> {
        if let Some(files) = &self.place.files {
            return files.write(vec![Small { name, bytes, over }]).await;
        }
        let put = self.place.objects.put(&name, PutPayload::from_bytes(bytes));
        self.place.must("store in", put).await.map(drop)
    }

    async fn remove(&self, path: &Path) -> Result<(), StoreError> {
        self.place.request("delete from", self.place.objects.delete(path)).await.map(drop)
    }
}

fn read_file(path: &FilePath, wants: impl Fn(u64) -> bool) -> io::Result<Option<Bytes>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let len = file.metadata()?.len();
    if !wants(len) {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(len as usize + 1);
    file.take(len).read_to_end(&mut bytes)?;
    // It may have been replaced while it was read; then it has another length, or the content of one of the two.
    Ok((bytes.len() as u64 == len).then(|| bytes.into()))
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
        Ok(self.len(&self.place.record(name)).await?.is_some())
    }

    async fn put_record(&self, name: &RecordName, bytes: Bytes, _: &[Digest]) -> Result<(), StoreError> {
        self.write(self.place.record(name), bytes, Over::Replace).await
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
        self.write(self.place.data(digest), bytes, Over::Keep).await
    }

    async fn remove_data(&self, digest: &Digest) -> Result<(), StoreError> {
        self.remove(&self.place.data(digest)).await
    }
}
