//! `ContentAddressableStorage`.

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use cullet_proto::reapi::Digest as WireDigest;
use cullet_proto::reapi::storage::service::content_addressable_storage_server::ContentAddressableStorage;
use cullet_proto::reapi::storage::{
    BatchReadBlobsRequest, BatchReadBlobsResponse, BatchUpdateBlobsRequest, BatchUpdateBlobsResponse,
    BlobRead, BlobUpdate, BlobUpdated, FindMissingBlobsRequest, FindMissingBlobsResponse, GetTreeRequest,
    SpliceBlobRequest, SpliceBlobResponse, SplitBlobRequest, SplitBlobResponse, Status as WireStatus,
};
use futures_util::{StreamExt as _, stream};
use tonic::{Request, Response, Status};

use super::StorageServices;
use super::services::{digest, function};
use super::tree::Directories;
use crate::StoreError;
use crate::blob::is_small;
use crate::grpc::compression::{IDENTITY, ZSTD, compressed, decompressed};
use crate::grpc::{BATCH, wire};
use crate::offload::offload;
use crate::whole::{check, read_whole};

/// Blobs of one batch that are read or written at the same time. A shared directory syncs each, which is mostly
/// waiting.
const AT_ONCE: usize = 16;

#[async_trait::async_trait]
impl ContentAddressableStorage for StorageServices {
    async fn find_missing_blobs(
        &self,
        request: Request<FindMissingBlobsRequest>,
    ) -> Result<Response<FindMissingBlobsResponse>, Status> {
        let request = request.into_inner();
        self.check_instance(&request.instance_name)?;
        let function = function(request.digest_function)?;
        let asked: Result<Vec<Digest>, Status> =
            request.blob_digests.iter().map(|blob| digest(function, blob)).collect();
        let missing = self.store.find_missing(&asked?).await.map_err(|error| wire::status(&error))?;
        let missing_blob_digests = missing.iter().map(wire::to_wire).collect();
        Ok(Response::new(FindMissingBlobsResponse { missing_blob_digests }))
    }

    async fn batch_update_blobs(
        &self,
        request: Request<BatchUpdateBlobsRequest>,
    ) -> Result<Response<BatchUpdateBlobsResponse>, Status> {
        let request = request.into_inner();
        self.check_instance(&request.instance_name)?;
        self.writable()?;
        let function = function(request.digest_function)?;
        let sizes = request.requests.iter().filter_map(|update| update.digest.as_ref());
        bounded(sizes.map(|digest| u64::try_from(digest.size_bytes).unwrap_or(0)))?;
        let responses = self.update_all(function, request.requests).await;
        Ok(Response::new(BatchUpdateBlobsResponse { responses }))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<BatchReadBlobsRequest>,
    ) -> Result<Response<BatchReadBlobsResponse>, Status> {
        let request = request.into_inner();
        self.check_instance(&request.instance_name)?;
        let function = function(request.digest_function)?;
        let asked: Result<Vec<Digest>, Status> =
            request.digests.iter().map(|blob| digest(function, blob)).collect();
        let asked = asked?;
        bounded(asked.iter().map(|blob| blob.size().saturating_add(OVERHEAD)))?;
        let compressor = if request.acceptable_compressors.contains(&ZSTD) { ZSTD } else { IDENTITY };
        let _permit = self.begin_read()?;
        let read = stream::iter(asked).map(|blob| self.read_one(blob, compressor));
        let responses = read.buffer_unordered(AT_ONCE).collect().await;
        Ok(Response::new(BatchReadBlobsResponse { responses }))
    }

    type GetTreeStream = Directories;

    async fn get_tree(
        &self,
        request: Request<GetTreeRequest>,
    ) -> Result<Response<Self::GetTreeStream>, Status> {
        self.begin_tree(request.into_inner()).await.map(Response::new)
    }

    async fn split_blob(
        &self,
        request: Request<SplitBlobRequest>,
    ) -> Result<Response<SplitBlobResponse>, Status> {
        self.split(request.into_inner()).await.map(Response::new)
    }

    async fn splice_blob(
        &self,
        request: Request<SpliceBlobRequest>,
    ) -> Result<Response<SpliceBlobResponse>, Status> {
        self.splice(request.into_inner()).await.map(Response::new)
    }
}

/// Refuses blobs that are more together than fits into a message.
fn bounded(sizes: impl Iterator<Item = u64>) -> Result<(), Status> {
    let bytes = sizes.fold(0, u64::saturating_add);
    if bytes > BATCH {
        let what = format!("these blobs have more than {BATCH} bytes together: large ones travel as streams");
        return Err(Status::invalid_argument(what));
    }
    Ok(())
}

/// What a blob takes in a message besides its bytes: a digest, a status and their tags.
const OVERHEAD: u64 = 256;

impl StorageServices {
    /// Stores the small blobs of a batch together. Where that fails, each is stored by itself, because each has an outcome of its
    /// own; so is every large one.
    async fn update_all(&self, function: DigestFunction, updates: Vec<BlobUpdate>) -> Vec<BlobUpdated> {
        let (names, blobs): (Vec<_>, Vec<_>) =
            updates.into_iter().map(|mut update| (update.digest.take(), update)).unzip();
        let sent = names.iter().zip(blobs).map(|(named, update)| sent(function, named.as_ref(), update));
        let blobs = unpacked(sent.collect()).await;
        let small: Vec<(Digest, Bytes)> =
            blobs.iter().flatten().filter(|(digest, _)| is_small(digest)).cloned().collect();
        // The store compares bytes and digests before it keeps anything, so that needs no look of its own here.
        let stored = small.len() > 1 && self.store.put_small(small).await.is_ok();
        let updates = names.into_iter().zip(blobs).map(|(named, blob)| async move {
            let outcome = match blob {
                Ok((digest, _)) if stored && is_small(&digest) => Ok(()),
                Ok((digest, bytes)) => self.update(digest, bytes).await,
                Err(status) => Err(status),
            };
            BlobUpdated { digest: named, status: Some(wire_status(outcome.err())) }
        });
        stream::iter(updates).buffer_unordered(AT_ONCE).collect().await
    }

    async fn update(&self, digest: Digest, bytes: Bytes) -> Result<(), Status> {
        let failed = |error| wire::status(&error);
        check(&digest, &bytes).await.map_err(failed)?;
        self.store.put(&digest, bytes.into()).await.map_err(failed)
    }

    async fn read_one(&self, digest: Digest, compressor: i32) -> BlobRead {
        let (data, error) = match self.try_read(&digest).await {
            Ok(data) => (data, None),
            Err(error) => (Bytes::new(), Some(wire::status(&error))),
        };
        let frame = if compressor == ZSTD && data.len() >= WORTH_IT {
            let plain = data.clone();
            offload(move || Ok(compressed(&plain))).await.ok().flatten()
        } else {
            None
        };
        let (compressor, data) = frame.map_or((IDENTITY, data), |frame| (ZSTD, frame));
        let status = Some(wire_status(error));
        BlobRead { digest: Some(wire::to_wire(&digest)), data, status, compressor }
    }

    async fn try_read(&self, digest: &Digest) -> Result<Bytes, StoreError> {
        let blob = match self.store.get(digest).await {
            // It was damaged and is gone now; who asks wants to know whether it is there.
            Err(StoreError::Mismatch { .. }) => return Err(StoreError::NotFound { digest: *digest }),
            found => found?,
        };
        read_whole(blob).await
    }
}

/// Fewer bytes than this are a frame's own overhead.
const WORTH_IT: usize = 512;

/// A blob as it was sent.
enum Sent {
    Plain(Digest, Bytes),
    Frames(Digest, Bytes),
    Wrong(Status),
}

fn sent(function: DigestFunction, named: Option<&WireDigest>, update: BlobUpdate) -> Sent {
    let Some(named) = named else { return Sent::Wrong(Status::invalid_argument("a blob has no digest")) };
    match (digest(function, named), update.compressor) {
        (Err(status), _) => Sent::Wrong(status),
        (Ok(digest), IDENTITY) => Sent::Plain(digest, update.data),
        (Ok(digest), ZSTD) => Sent::Frames(digest, update.data),
        (Ok(_), other) => {
            let what = format!("compressor {other} is not supported: use 1 (ZSTD), or none");
            Sent::Wrong(Status::invalid_argument(what))
        }
    }
}

/// The bytes of blobs, with one thread for all that have to be inflated. Together they have no more than their digests say, which
/// was bounded before.
async fn unpacked(sent: Vec<Sent>) -> Vec<Result<(Digest, Bytes), Status>> {
    let plain = sent.iter().all(|sent| !matches!(sent, Sent::Frames(..)));
    let count = sent.len();
    let unpack = move || Ok(sent.into_iter().map(Sent::unpack).collect());
    let unpacked = if plain { unpack() } else { offload(unpack).await };
    unpacked.unwrap_or_else(|error| vec![Err(wire::status(&error)); count])
}

impl Sent {
    fn unpack(self) -> Result<(Digest, Bytes), Status> {
        match self {
            Self::Plain(digest, bytes) => Ok((digest, bytes)),
            Self::Frames(digest, frames) => {
                let len = digest.size() as usize;
                let what = || format!("these bytes are no Zstandard frames of {len} bytes");
                let bytes = decompressed(&frames, len).ok_or_else(|| Status::invalid_argument(what()))?;
                Ok((digest, bytes))
            }
            Self::Wrong(status) => Err(status),
        }
    }
}

fn wire_status(error: Option<Status>) -> WireStatus {
    error.map_or_else(WireStatus::default, |status| WireStatus {
        code: status.code() as i32,
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}
