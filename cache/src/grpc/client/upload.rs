//! Small blobs, in batches.

use std::collections::HashMap;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction, Hasher};
use cullet_proto::reapi::storage::{BatchUpdateBlobsRequest, BlobUpdate};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tonic::{Code, Status};

use super::GrpcStore;
use crate::blob::is_the_empty_blob;
use crate::grpc::pieces::Readable;
use crate::grpc::{BATCH, wire};
use crate::offload::offload;
use crate::tiers::Moved;
use crate::{Blob, BlobStore, StoreError};

/// What a blob takes in a batch besides its bytes: its digest, and tags.
const OVERHEAD: u64 = 128;

/// Blobs up to this many bytes travel in batches, 16 of them or more in each.
const SMALL: u64 = 256 << 10;

/// Messages in flight of one upload; 16 MiB of memory.
const AT_ONCE: usize = 4;

impl GrpcStore {
    /// Stores many small blobs with few messages. The caller has them in memory; a message takes about 4 MiB of them.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] where bytes are not those of their digest: before anything is sent.
    /// [`StoreError::TooLarge`] for a blob that no message can take.
    pub async fn put_batch(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        for (digest, bytes) in &blobs {
            compare(*digest, Readable::Bytes(bytes.clone())).await?;
        }
        for function in DigestFunction::ALL {
            let mut batch = Vec::new();
            let mut room = BATCH;
            for (digest, bytes) in blobs.iter().filter(|(digest, _)| digest.function() == function) {
                let takes = digest.size() + OVERHEAD;
                if takes > BATCH {
                    return Err(StoreError::TooLarge { digest: *digest, limit: BATCH - OVERHEAD });
                }
                if takes > room {
                    self.send(function, std::mem::take(&mut batch)).await?;
                    room = BATCH;
                }
                room -= takes;
                batch.push((*digest, bytes.clone()));
            }
            self.send(function, batch).await?;
        }
        Ok(())
    }

    /// Sends whichever of these blobs the servers lack, from `from`, with as few messages as that takes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where neither side has a blob. What was sent by then stays.
    pub async fn upload(&self, from: &dyn BlobStore, digests: &[Digest]) -> Result<Moved, StoreError> {
        let missing = self.find_missing(digests).await?;
        let uploaded = Moved {
            blobs: missing.len() as u64,
            bytes: missing.iter().fold(0, |sum, digest| sum.saturating_add(digest.size())),
        };
        let sends = groups(missing).into_iter().map(|group| self.send_group(from, group));
        stream::iter(sends).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(uploaded)
    }

    async fn send_group(&self, from: &dyn BlobStore, group: Vec<Digest>) -> Result<(), StoreError> {
        if let [digest] = group.as_slice() {
            return self.put(digest, from.get(digest).await?).await;
        }
        let mut blobs = Vec::with_capacity(group.len());
        for digest in group {
            let blob = from.get(&digest).await?;
            blobs.push((digest, blob.into_bytes().map_err(|error| StoreError::io("read", "a blob", error))?));
        }
        self.put_batch(blobs).await
    }

    pub(super) async fn put_blob(&self, digest: Digest, blob: Blob) -> Result<(), StoreError> {
        let blob = Readable::from(blob);
        compare(digest, blob.clone()).await?;
        if is_the_empty_blob(&digest) {
            return Ok(());
        }
        if digest.size() + OVERHEAD > BATCH {
            return self.put_stream(digest, &blob).await;
        }
        let bytes = blob.into_bytes().await?;
        self.send(digest.function(), vec![(digest, bytes)]).await
    }

    /// One message.
    async fn send(&self, function: DigestFunction, batch: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let update = |(digest, data): (Digest, Bytes)| BlobUpdate {
            digest: Some(wire::to_wire(&digest)),
            data,
            compressor: 0,
        };
        let request = BatchUpdateBlobsRequest {
            instance_name: self.instance.to_string(),
            requests: batch.into_iter().map(update).collect(),
            digest_function: wire::number(function),
        };
        self.endpoints
            .call("store at", |channel| {
                let request = request.clone();
                async move {
                    let answer =
                        self.storage(channel).batch_update_blobs(request.clone()).await?.into_inner();
                    let mut stored: HashMap<_, _> = answer
                        .responses
                        .into_iter()
                        .filter_map(|stored| Some((stored.digest?.hash, stored.status.unwrap_or_default())))
                        .collect();
                    // A blob that fails fails the call, which stores what is there already once more without effect.
                    request.requests.iter().filter_map(|sent| sent.digest.as_ref()).try_for_each(|sent| {
                        match stored.remove(&sent.hash) {
                            Some(status) if status.code == 0 => Ok(()),
                            Some(status) => Err(Status::new(Code::from(status.code), status.message)),
                            None => Err(Status::internal("the server left a blob without an answer")),
                        }
                    })
                }
            })
            .await
    }
}

/// Digests whose blobs go into one message each; large ones alone.
fn groups(digests: Vec<Digest>) -> Vec<Vec<Digest>> {
    let mut groups = Vec::new();
    let mut open: HashMap<DigestFunction, (u64, Vec<Digest>)> = HashMap::new();
    for digest in digests {
        if digest.size() > SMALL {
            groups.push(vec![digest]);
            continue;
        }
        let (taken, group) = open.entry(digest.function()).or_default();
        if *taken + digest.size() + OVERHEAD > BATCH {
            groups.push(std::mem::take(group));
            *taken = 0;
        }
        *taken += digest.size() + OVERHEAD;
        group.push(digest);
    }
    groups.extend(open.into_values().map(|(_, group)| group).filter(|group| !group.is_empty()));
    groups
}

/// Whether these are the bytes of the digest.
async fn compare(expected: Digest, blob: Readable) -> Result<(), StoreError> {
    let actual = match blob {
        Readable::Bytes(bytes) if bytes.len() <= INLINE => expected.function().digest(&bytes),
        Readable::Bytes(bytes) => offload(move || Ok(expected.function().digest(&bytes))).await?,
        file @ Readable::File { .. } => {
            let mut hasher = Hasher::new(expected.function());
            let mut pieces = file.pieces(0, u64::MAX);
            while let Some((_, piece)) = pieces.try_next().await? {
                hasher.update(&piece);
            }
            hasher.finish()
        }
    };
    if actual == expected { Ok(()) } else { Err(StoreError::Mismatch { expected, actual }) }
}

/// Hashed inline: a few tens of microseconds.
const INLINE: usize = 64 << 10;
