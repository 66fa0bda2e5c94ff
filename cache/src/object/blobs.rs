//! [`BlobStore`] over files of a directory.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::Place;
use super::files::Files;
use super::get;
use super::logged::Logged;
use crate::blob::is_the_empty_blob;
use crate::origin::{Origin, Pieces, Stamp};
use crate::{Blob, BlobStore, StoreError, Trees};

/// Blobs as files of a directory, one each; see the [module](super). Checking bytes is the business of the decorators.
/// Clones share everything.
#[derive(Debug, Clone)]
pub struct ObjectBlobs {
    pub(super) place: Arc<Place>,
    pub(super) files: Arc<Files>,
}

/// Blobs that one piece of work looks for: handing it to a thread takes longer than looking for several on a disk, and a network
/// filesystem takes long for each.
const LOOKS: usize = 16;

/// So many pieces of work at once.
const CHECKS: usize = 32;

impl ObjectBlobs {
    pub(super) fn new(place: &Arc<Place>, files: &Arc<Files>) -> Self {
        Self { place: Arc::clone(place), files: Arc::clone(files) }
    }

    /// Those of a few that are not there with their full length.
    async fn missing_of(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, StoreError> {
        let logs = &self.files.logs;
        let files = digests.into_iter().filter(|digest| !is_the_empty_blob(digest) && !logs.own_has(digest));
        let files = files.map(|digest| (self.files.path(&self.place.blob(&digest)), digest)).collect();
        self.files.run(move || missing(files)).await
    }

    /// Those that no file is there for with its full length.
    pub(super) async fn without_files(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let pieces: Vec<Vec<Digest>> = digests.chunks(LOOKS).map(<[Digest]>::to_vec).collect();
        let missing = stream::iter(pieces).map(|piece| self.missing_of(piece)).buffered(CHECKS);
        missing.try_concat().await
    }

    /// Whether the file of the blob is there with its full length.
    pub(super) async fn has_file(&self, digest: &Digest) -> Result<bool, StoreError> {
        if digest.is_empty() {
            return Ok(is_the_empty_blob(digest));
        }
        let path = self.place.blob(digest);
        let of = *digest;
        self.files.read(&path, move |path| is_there(path, &of)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for ObjectBlobs {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        self.unlogged(self.without_files(digests).await?).await
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        if is_the_empty_blob(digest) {
            return Ok(Blob::Bytes(Bytes::new()));
        }
        let file = || get::file(&self.place, &self.files, digest);
        let missing = match file().await {
            Err(error @ StoreError::NotFound { .. }) => error,
            found => return found,
        };
        match self.logged(digest).await? {
            Logged::Bytes(bytes) => Ok(Blob::Bytes(bytes)),
            Logged::LookAgain => file().await,
            Logged::Never => Err(missing),
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
        let pieces = || get::pieces(&self.place, &self.files, digest, offset);
        let missing = match pieces().await {
            Err(error @ StoreError::NotFound { .. }) => error,
            found => return found,
        };
        match self.logged(digest).await? {
            // It has bytes behind the offset: there are pieces of nothing for every blob.
            Logged::Bytes(mut bytes) => {
                let rest = bytes.split_off(bytes.len().min(offset as usize));
                Ok(stream::once(async { Ok(rest) }).boxed())
            }
            Logged::LookAgain => pieces().await,
            Logged::Never => Err(missing),
        }
    }

    async fn stamp(&self, digest: &Digest) -> Result<Option<Stamp>, StoreError> {
        let of = *digest;
        self.files
            .read(&self.place.blob(digest), move |path| Ok(found(path, &of)?.as_ref().map(Stamp::of)))
            .await
    }
}

/// Each blob is by itself.
impl Trees for ObjectBlobs {}

fn missing(files: Vec<(PathBuf, Digest)>) -> Result<Vec<Digest>, StoreError> {
    let mut missing = Vec::new();
    for (path, digest) in files {
        // Nothing else has no bytes.
        if digest.is_empty() || !is_there(&path, &digest)? {
            missing.push(digest);
        }
    }
    Ok(missing)
}

fn is_there(path: &Path, digest: &Digest) -> Result<bool, StoreError> {
    found(path, digest).map(|found| found.is_some())
}

/// The file of a blob, if it is there with its full length.
fn found(path: &Path, digest: &Digest) -> Result<Option<Metadata>, StoreError> {
    match std::fs::metadata(path) {
        Ok(found) => Ok((found.is_file() && found.len() == digest.size()).then_some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", path, error)),
    }
}
