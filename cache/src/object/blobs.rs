//! [`BlobStore`] over objects.

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use object_store::ObjectStoreExt as _;

use super::Place;
use super::get;
use crate::arriving::Arrived;
use crate::blob::is_the_empty_blob;
use crate::origin::{Origin, Pieces};
use crate::single_flight::SingleFlight;
use crate::{Blob, BlobStore, StoreError, Trees};

/// Blobs as objects, one each; see the [module](super). Bytes from a bucket are checked on arrival where they are
/// many; small ones and files are the business of the decorators. Clones share everything.
#[derive(Debug, Clone)]
pub struct ObjectBlobs {
    pub(super) place: Arc<Place>,
    flights: Arc<SingleFlight<Result<Arrived, StoreError>>>,
}

/// Presence is asked one object at a time, so many at once.
const CHECKS: usize = 32;

impl ObjectBlobs {
    pub(crate) fn new(place: &Arc<Place>) -> Self {
        Self { place: Arc::clone(place), flights: Arc::default() }
    }

    /// Whether the blob is there with its full length.
    pub(super) async fn has(&self, digest: &Digest) -> Result<bool, StoreError> {
        if digest.is_empty() {
            return Ok(is_the_empty_blob(digest));
        }
        let path = self.place.blob(digest);
        if let Some(files) = &self.place.files {
            let of = *digest;
            return files.read(&path, move |path| is_there(path, &of)).await;
        }
        let found = self.place.request("look for blobs in", self.place.objects.head(&path)).await?;
        Ok(found.is_some_and(|meta| meta.size == digest.size()))
    }

    /// The blob from a bucket. Those who want the same one share the request.
    async fn receive(&self, digest: &Digest) -> Result<Blob, StoreError> {
        let (origin, of) = (self.clone(), *digest);
        let attempt = async move { origin.place.patience.receive(&origin, &of).await }.boxed();
        let arrived = self.flights.run(digest, || attempt).await;
        if let Err(StoreError::Mismatch { .. }) = &arrived {
            self.delete_if_damaged(digest).await?;
        }
        arrived?.open()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for ObjectBlobs {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        stream::iter(digests.to_vec())
            .map(|digest| async move { Ok((!self.has(&digest).await?).then_some(digest)) })
            .buffered(CHECKS)
            .try_filter_map(|missing| async move { Ok(missing) })
            .try_collect()
            .await
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        if is_the_empty_blob(digest) {
            return Ok(Blob::Bytes(Bytes::new()));
        }
        match &self.place.files {
            Some(files) => get::file(&self.place, files, digest).await,
            None => self.receive(digest).await,
        }
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.put_blob(digest, blob).await
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        self.put_all(blobs).await
    }
}

#[async_trait]
impl Origin for ObjectBlobs {
    fn place(&self) -> &str {
        self.place.name()
    }

    async fn open(&self, digest: &Digest, offset: u64) -> Result<Pieces, StoreError> {
        get::pieces(&self.place, digest, offset).await
    }
}

/// Each blob is by itself.
impl Trees for ObjectBlobs {}

fn is_there(path: &Path, digest: &Digest) -> Result<bool, StoreError> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(found.is_file() && found.len() == digest.size()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("read", path, error)),
    }
}
