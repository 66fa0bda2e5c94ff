//! `ByteStream`.

use std::sync::Arc;

use cullet_digest::Digest;
use cullet_proto::bytestream::service::byte_stream_server::ByteStream;
use cullet_proto::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, WriteRequest, WriteResponse,
};
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

use super::StorageServices;
use super::appending::Appending;
use super::read;
use super::uploads::Writing;
use crate::StoreError;
use crate::grpc::resource::Resource;
use crate::grpc::wire;

#[async_trait::async_trait]
impl ByteStream for StorageServices {
    type ReadStream = read::Pieces;

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        self.begin(request.into_inner()).await.map(Response::new)
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteResponse>, Status> {
        let uploads = self.writable()?;
        let mut pieces = request.into_inner();
        let first = self.next(&mut pieces).await?;
        let first = first.ok_or_else(|| Status::invalid_argument("the stream has no message"))?;
        let resource = self.resource(&first.resource_name)?;
        if self.has(&resource.digest).await? {
            // As REAPI wants it: the client may stop sending what is there.
            return Ok(there(&resource));
        }
        let writing = Arc::clone(uploads).begin(&resource)?;
        let (taken, whole) = match self.take(&writing, &resource, first, &mut pieces).await {
            Ok(taken) => taken,
            // What arrived can never become the blob.
            Err(status) if status.code() == tonic::Code::InvalidArgument => {
                writing.forget();
                return Err(status);
            }
            Err(status) => return Err(status),
        };
        if whole {
            self.store(&resource.digest, writing).await.map_err(|error| wire::status(&error))?;
        }
        Ok(written(taken))
    }

    async fn query_write_status(
        &self,
        request: Request<QueryWriteStatusRequest>,
    ) -> Result<Response<QueryWriteStatusResponse>, Status> {
        let uploads = self.writable()?;
        let resource = self.resource(&request.into_inner().resource_name)?;
        let size = resource.digest.size();
        let (committed, complete) = if self.has(&resource.digest).await? {
            (size, true)
        } else {
            let unknown = || Status::not_found("there is no such upload: it was never begun, or has expired");
            (uploads.committed(&resource).ok_or_else(unknown)?, false)
        };
        Ok(Response::new(QueryWriteStatusResponse { committed_size: as_i64(committed), complete }))
    }
}

impl StorageServices {
    /// Takes pieces until the last one, and writes them. How many bytes that makes, as the client counts them, and whether the last
    /// one said that it was; then they are as many as the blob has.
    async fn take(
        &self,
        writing: &Writing,
        resource: &Resource,
        first: WriteRequest,
        pieces: &mut Streaming<WriteRequest>,
    ) -> Result<(u64, bool), Status> {
        let appending = Appending::new(writing);
        let taken = self.push_all(writing, &appending, resource, first, pieces).await;
        // Whatever became of the stream, nobody writes any more.
        appending.settle().await.map_err(|error| wire::status(&error))?;
        let (taken, whole) = taken?;
        if whole {
            is_whole(writing, &resource.digest)?;
        }
        Ok((taken, whole))
    }

    async fn push_all(
        &self,
        writing: &Writing,
        appending: &Appending,
        resource: &Resource,
        first: WriteRequest,
        pieces: &mut Streaming<WriteRequest>,
    ) -> Result<(u64, bool), Status> {
        let name = first.resource_name.clone();
        let inflating = resource.compressed.then(|| writing.inflating()).transpose();
        let mut inflating = inflating.map_err(|error| wire::status(&error))?;
        // Of what arrives compressed, REAPI counts the bytes before this stream decompressed, and those in it as they arrive.
        let mut expected = writing.committed();
        let mut next = Some(first);
        while let Some(piece) = next {
            if !piece.resource_name.is_empty() && piece.resource_name != name {
                return Err(Status::invalid_argument("the resource name changes within the stream"));
            }
            if u64::try_from(piece.write_offset) != Ok(expected) {
                // No reason to forget what has arrived.
                let what = format!("the next byte is number {expected}, not {}", piece.write_offset);
                return Err(Status::failed_precondition(what));
            }
            expected += piece.data.len() as u64;
            match &mut inflating {
                Some(inflating) => inflating.append(piece.data).await?,
                None => appending.push(piece.data).await.map_err(|error| wire::status(&error))?,
            }
            if piece.finish_write {
                return Ok((expected, true));
            }
            next = self.next(pieces).await?;
        }
        Ok((expected, false))
    }

    async fn next(&self, pieces: &mut Streaming<WriteRequest>) -> Result<Option<WriteRequest>, Status> {
        let late = |_| Status::deadline_exceeded("the next piece did not come in time");
        timeout(self.limits.idle, pieces.message()).await.map_err(late)?
    }

    pub(super) async fn store(&self, digest: &Digest, writing: Writing) -> Result<(), StoreError> {
        let Some(arrived) = writing.finish()? else { return Err(StoreError::NotFound { digest: *digest }) };
        self.store.put(digest, arrived.open()?).await?;
        if let Some(streams) = &self.streams
            && let Err(error) = streams.know(digest).await
        {
            // It is stored; whoever reads it checks it.
            tracing::debug!(%error, blob = %digest.short(), "a blob was stored that cannot be looked at");
        }
        Ok(())
    }

    pub(super) async fn has(&self, digest: &Digest) -> Result<bool, Status> {
        let missing = self.store.find_missing(std::slice::from_ref(digest)).await;
        Ok(missing.map_err(|error| wire::status(&error))?.is_empty())
    }
}

/// That an upload which ends has as many bytes as it announced.
fn is_whole(writing: &Writing, digest: &Digest) -> Result<(), Status> {
    let (is, shall) = (writing.committed(), digest.size());
    if is == shall {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("the blob ends after {is} bytes instead of {shall}")))
}

/// The answer to an upload of what is there already.
fn there(resource: &Resource) -> Response<WriteResponse> {
    if resource.compressed {
        // Nobody knows how many bytes it would have become.
        return Response::new(WriteResponse { committed_size: -1 });
    }
    written(resource.digest.size())
}

fn written(bytes: u64) -> Response<WriteResponse> {
    Response::new(WriteResponse { committed_size: as_i64(bytes) })
}

fn as_i64(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
