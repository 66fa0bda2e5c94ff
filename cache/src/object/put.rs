//! Writing objects.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use cullet_digest::{Digest, Hasher};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload, WriteMultipart};
use tokio::time::timeout;

use super::ObjectBlobs;
use super::files::{Over, Small};
use super::place::PART;
use crate::blob::is_the_empty_blob;
use crate::offload::offload;
use crate::{Blob, StoreError};

/// Parts of one upload in flight: with one more in the making, 32 MiB of memory.
const PARTS: usize = 3;

/// Small blobs that are sent to a bucket at once.
const PUTS: usize = 32;

/// Bytes that are hashed where they are: more take longer than to hand them to another thread.
const HASHED_HERE: usize = 64 << 10;

/// A bucket takes at most 10,000 parts; past 70 GiB they become larger.
const MOST_PARTS: u64 = 9_000;

/// A file that is read in parts and hashed meanwhile.
struct Source {
    file: File,
    path: PathBuf,
    hasher: Hasher,
    part: u64,
}

impl ObjectBlobs {
    pub(super) async fn put_blob(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        match blob {
            Blob::File { file, path, len } if len > PART => {
                let part = PART.max(digest.size().div_ceil(MOST_PARTS));
                let hasher = Hasher::new(digest.function());
                self.put_file(digest, Source { file, path, hasher, part }).await
            }
            blob => {
                let bytes = read_whole(blob).await?;
                self.put_bytes(digest, bytes).await
            }
        }
    }

    async fn put_bytes(&self, digest: &Digest, bytes: Bytes) -> Result<(), StoreError> {
        check(digest, &bytes).await?;
        if is_the_empty_blob(digest) {
            return Ok(());
        }
        let name = self.place.blob(digest);
        if let Some(files) = &self.place.files {
            return files.write(vec![Small { name, bytes, over: Over::Keep }]).await;
        }
        if self.has(digest).await? {
            return Ok(());
        }
        self.send(name, bytes).await
    }

    /// Small blobs at once: in a directory one after the other, in a bucket side by side. Nothing is asked first: what
    /// comes this way is hardly ever there.
    pub(super) async fn put_all(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        let mut small = Vec::with_capacity(blobs.len());
        for (digest, bytes) in blobs {
            check(&digest, &bytes).await?;
            if !is_the_empty_blob(&digest) {
                small.push(Small { name: self.place.blob(&digest), bytes, over: Over::Fresh });
            }
        }
        match &self.place.files {
            Some(files) => files.write(small).await,
            None => {
                let puts = small.into_iter().map(|small| self.send(small.name, small.bytes));
                stream::iter(puts).buffer_unordered(PUTS).try_collect().await
            }
        }
    }

    async fn send(&self, name: Path, bytes: Bytes) -> Result<(), StoreError> {
        let put = self.place.objects.put(&name, PutPayload::from_bytes(bytes));
        self.place.must("store in", put).await.map(drop)
    }

    async fn put_file(&self, digest: &Digest, mut source: Source) -> Result<(), StoreError> {
        if self.has(digest).await? {
            // Never on a promise: the caller's bytes are compared all the same.
            loop {
                let part;
                (source, part) = source.next().await?;
                if part.is_empty() {
                    return compare(digest, source.hasher.finish());
                }
            }
        }
        let path = self.place.blob(digest);
        let upload = self.place.must("store in", self.place.objects.put_multipart(&path)).await?;
        let upload = WriteMultipart::new_with_chunk_size(upload, source.part as usize);
        self.upload(digest, &path, source, upload).await
    }

    async fn upload(
        &self,
        digest: &Digest,
        path: &Path,
        mut source: Source,
        mut upload: WriteMultipart,
    ) -> Result<(), StoreError> {
        let sent = loop {
            let part;
            (source, part) = match source.next().await {
                Ok(read) => read,
                Err(error) => break Err(error),
            };
            if part.is_empty() {
                break compare(digest, source.hasher.finish());
            }
            upload.put(part);
            let capacity = upload.wait_for_capacity(PARTS);
            if let Err(error) = self.place.must("store in", capacity).await {
                break Err(error);
            }
        };
        match sent {
            Ok(()) => self.place.must("store in", upload.finish()).await.map(drop),
            Err(error) => {
                // What cannot be removed now is the business of the bucket's lifecycle rule.
                if timeout(ABORT, upload.abort()).await.is_err() {
                    tracing::debug!(%path, "an upload that failed could not be aborted");
                }
                Err(error)
            }
        }
    }
}

/// Nobody needs what an abort removes, so it is not waited for long.
const ABORT: Duration = Duration::from_secs(5);

impl Source {
    /// The next part; empty at the end.
    async fn next(mut self) -> Result<(Self, Bytes), StoreError> {
        offload(move || {
            let mut bytes = Vec::with_capacity(self.part as usize);
            let read = (&self.file).take(self.part).read_to_end(&mut bytes);
            read.map_err(|error| StoreError::io("read", &self.path, error))?;
            self.hasher.update(&bytes);
            Ok((self, bytes.into()))
        })
        .await
    }
}

async fn read_whole(blob: Blob) -> Result<Bytes, StoreError> {
    match blob {
        Blob::Bytes(bytes) => Ok(bytes),
        Blob::File { file, path, len } => {
            offload(move || {
                let blob = Blob::File { file, path: path.clone(), len };
                blob.into_bytes().map_err(|error| StoreError::io("read", path, error))
            })
            .await
        }
    }
}

/// That these are the bytes of the digest.
async fn check(digest: &Digest, bytes: &Bytes) -> Result<(), StoreError> {
    let function = digest.function();
    if bytes.len() <= HASHED_HERE {
        return compare(digest, function.digest(bytes));
    }
    let hashed = bytes.clone();
    compare(digest, offload(move || Ok(function.digest(&hashed))).await?)
}

fn compare(expected: &Digest, actual: Digest) -> Result<(), StoreError> {
    if actual == *expected { Ok(()) } else { Err(StoreError::Mismatch { expected: *expected, actual }) }
}
