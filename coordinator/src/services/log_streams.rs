//! `google.bytestream.ByteStream` of a coordinator: blobs, and what attempts of operations print, which are log streams
//! (`build.bazel.remote.logstream.v1`): read while it is being printed, and afterwards for as long as it is kept.

mod name;
mod only;

use std::sync::Arc;

use cullet_cache::StorageServices;
use cullet_core::RunId;
use cullet_proto::bytestream::service::byte_stream_server::{ByteStream, ByteStreamServer};
use cullet_proto::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse,
};
use cullet_proto::v1::log_chunk::Stream;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, Streaming};

use self::name::LogName;
use self::only::Only;
use super::execution::known_operation;
use super::log::follow;
use super::log_source::Wanted;
use crate::engine::Engine;

/// Log streams that are read at the same time: of each there are two pieces of 64 KiB in memory, so 64 MiB of all.
const READERS: usize = 512;

/// The names of what an attempt prints: its standard output and its standard error.
pub(super) fn names(instance: &str, run: RunId, attempt: u32) -> [String; 2] {
    let name = |stream| LogName { run, attempt, stream }.within(instance);
    [name(Stream::Stdout), name(Stream::Stderr)]
}

/// The service of a coordinator. Messages have the bounds that gRPC gives them, which are those of blobs.
pub(super) fn byte_stream_service(
    engine: Engine,
    blobs: StorageServices,
) -> ByteStreamServer<impl ByteStream> {
    let readers = Arc::new(Semaphore::new(READERS));
    ByteStreamServer::new(Streams { engine, blobs, readers })
}

#[derive(Debug, Clone)]
struct Streams {
    engine: Engine,
    blobs: StorageServices,
    readers: Arc<Semaphore>,
}

#[tonic::async_trait]
impl ByteStream for Streams {
    type ReadStream = BoxStream<'static, Result<ReadResponse, Status>>;

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        match LogName::parse(&request.get_ref().resource_name)? {
            Some(name) => self.read_log(name, &request).await.map(Response::new),
            None => self.blobs.read(request).await,
        }
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteResponse>, Status> {
        self.blobs.write(request).await
    }

    async fn query_write_status(
        &self,
        request: Request<QueryWriteStatusRequest>,
    ) -> Result<Response<QueryWriteStatusResponse>, Status> {
        self.blobs.query_write_status(request).await
    }
}

impl Streams {
    async fn read_log(
        &self,
        name: LogName,
        request: &Request<ReadRequest>,
    ) -> Result<BoxStream<'static, Result<ReadResponse, Status>>, Status> {
        let ReadRequest { read_offset, read_limit, .. } = *request.get_ref();
        let only = Only::new(name.stream, read_offset, read_limit)?;
        let full =
            |_| Status::unavailable("too many log streams are being read here; try again, or elsewhere");
        let permit = Arc::clone(&self.readers).try_acquire_owned().map_err(full)?;
        let node = known_operation(&self.engine, name.run, request).await?;
        // An operation is a run of one step. What is not there yet is waited for, but no longer than the operation takes.
        let wanted = Wanted { step: 0, attempt: Some(name.attempt), follow: true };
        let pieces = only.of(follow(&node, &self.engine, name.run, wanted));
        let pieces = pieces.map(move |piece| {
            // Held as long as the stream.
            let _ = &permit;
            piece.map(|data| ReadResponse { data })
        });
        Ok(pieces.boxed())
    }
}
