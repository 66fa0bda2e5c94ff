//! A bundle as a cache that is only read.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_cache::mirror::Named;
use cullet_cache::objects::{MOST_DATA, MOST_RECORD};
use cullet_cache::{Area, Objects, RecordName, StoreError};
use cullet_digest::Digest;
use cullet_image::{Digest as BlobName, FilePart, LocalBlobs as _};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};

use crate::contents::blob_name;
use crate::{Bundle, archive};

/// Records and data of a bundle and of those that it continues.
#[derive(Debug)]
pub(crate) struct BundleObjects {
    bundle: Arc<Bundle>,
    place: String,
}

impl BundleObjects {
    pub(crate) fn new(bundle: Arc<Bundle>) -> Self {
        let place = bundle.path().display().to_string();
        Self { bundle, place }
    }

    fn named(&self, name: &RecordName) -> Option<(BlobName, FilePart)> {
        let name = name.to_string();
        let (digest, _) = self.bundle.chain().find_map(|bundle| bundle.contents().records.get(&name))?;
        Some((*digest, self.bundle.find(digest)?))
    }

    async fn read(&self, part: FilePart, most: u64) -> Result<Bytes, StoreError> {
        let read = tokio::task::spawn_blocking(move || archive::read(&part, most, "of the cache"));
        let bytes = read.await.map_err(|error| self.failed("read", error))?;
        bytes.map(Bytes::from).map_err(|error| self.failed("read", error))
    }

    fn refuse(&self) -> StoreError {
        self.failed("write to", std::io::Error::other("a bundle is only read"))
    }

    fn failed(
        &self,
        action: &'static str,
        error: impl std::error::Error + Send + Sync + 'static,
    ) -> StoreError {
        StoreError::Remote { action, place: self.place.clone(), source: Arc::new(error) }
    }
}

impl Named for BundleObjects {
    fn names(&self, area: Area) -> BoxStream<'_, Result<RecordName, StoreError>> {
        let records = self.bundle.chain().flat_map(|bundle| bundle.contents().records.keys());
        let names: BTreeSet<RecordName> = records.filter_map(|name| name.parse().ok()).collect();
        stream::iter(names.into_iter().filter(move |name| name.area == area).map(Ok)).boxed()
    }
}

#[async_trait]
impl Objects for BundleObjects {
    fn place(&self) -> &str {
        &self.place
    }

    async fn record(&self, name: &RecordName) -> Result<Option<Bytes>, StoreError> {
        let Some((digest, part)) = self.named(name) else { return Ok(None) };
        let bytes = self.read(part, MOST_RECORD).await?;
        // Nobody else knows what a record must be.
        Ok((BlobName::of(&bytes) == digest).then_some(bytes))
    }

    async fn has_record(&self, name: &RecordName) -> Result<bool, StoreError> {
        Ok(self.named(name).is_some())
    }

    async fn put_record(&self, _: &RecordName, _: Bytes, _: &[Digest]) -> Result<(), StoreError> {
        Err(self.refuse())
    }

    async fn remove_record(&self, _: &RecordName) -> Result<(), StoreError> {
        Err(self.refuse())
    }

    async fn data(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        match self.bundle.find(&blob_name(digest)) {
            Some(part) if part.size == digest.size() => self.read(part, MOST_DATA).await,
            _ => Err(StoreError::NotFound { digest: *digest }),
        }
    }

    async fn has_data(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(self.bundle.find(&blob_name(digest)).is_some_and(|part| part.size == digest.size()))
    }

    async fn put_data(&self, _: &Digest, _: Bytes) -> Result<(), StoreError> {
        Err(self.refuse())
    }

    async fn remove_data(&self, _: &Digest) -> Result<(), StoreError> {
        Err(self.refuse())
    }
}
