//! Writing blobs to a directory.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use cullet_digest::{Digest, Hasher};
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, WriteMultipart};
use tokio::time::timeout;

use super::ObjectBlobs;
use super::files::{Over, Small};
use super::place::PART;
use crate::blob::is_the_empty_blob;
use crate::offload::offload;
use crate::whole::{check, compare, read_whole};
use crate::{Blob, StoreError};

/// Parts of one upload in flight: with one more in the making, 32 MiB of memory.
const PARTS: usize = 3;

/// A file that is read in parts and hashed meanwhile.
struct Source {
    file: File,
    path: PathBuf,
    hasher: Hasher,
}

impl ObjectBlobs {
    pub(super) async fn put_blob(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        match blob {
            Blob::File { file, path, len } if len > PART => {
                let hasher = Hasher::new(digest.function());
                self.put_file(digest, Source { file, path, hasher }).await
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
        self.files.write(vec![Small { name, bytes, over: Over::Keep }]).await
    }

    /// Small blobs one after the other. Nothing is asked first: what comes this way is hardly ever there.
    pub(super) async fn put_all(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        let mut small = Vec::with_capacity(blobs.len());
        for (digest, bytes) in blobs {
            check(&digest, &bytes).await?;
            if !is_the_empty_blob(&digest) {
                small.push(Small { name: self.place.blob(&digest), bytes, over: Over::Fresh });
            }
        }
        self.files.write(small).await
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
        let upload = self.place.must("store in", || self.place.objects.put_multipart(&path)).await?;
        let upload = WriteMultipart::new_with_chunk_size(upload, PART as usize);
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
            if let Err(error) = self.place.once("store in", capacity).await {
                break Err(error);
            }
        };
        match sent {
            Ok(()) => self.place.once("store in", upload.finish()).await.map(drop),
            Err(error) => {
                // What cannot be removed now is never taken for a blob.
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
            let mut bytes = Vec::with_capacity(PART as usize);
            let read = (&self.file).take(PART).read_to_end(&mut bytes);
            read.map_err(|error| StoreError::io("read", &self.path, error))?;
            self.hasher.update(&bytes);
            Ok((self, bytes.into()))
        })
        .await
    }
}
