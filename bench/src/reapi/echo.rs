//! A server that does nothing: what gRPC itself takes. Its own process, as a coordinator is.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use cullet_proto::bytestream::service::byte_stream_server::{ByteStream, ByteStreamServer};
use cullet_proto::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse,
};
use cullet_proto::reapi::storage::service::content_addressable_storage_server::{
    ContentAddressableStorage, ContentAddressableStorageServer,
};
use cullet_proto::reapi::storage::{
    BatchReadBlobsRequest, BatchReadBlobsResponse, BatchUpdateBlobsRequest, BatchUpdateBlobsResponse,
    BlobRead, FindMissingBlobsRequest, FindMissingBlobsResponse, GetTreeRequest, GetTreeResponse,
    SpliceBlobRequest, SpliceBlobResponse, SplitBlobRequest, SplitBlobResponse,
};
use futures_util::stream::{self, BoxStream};
use prost::bytes::Bytes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use crate::Result;

/// Bytes in one piece of a stream, as a coordinator has it.
const PIECE: usize = 256 << 10;

/// Answers everything with as many bytes as were asked for, and keeps nothing.
#[derive(Debug, Clone, Copy)]
struct Echo;

#[tonic::async_trait]
impl ContentAddressableStorage for Echo {
    /// The call that does nothing.
    async fn find_missing_blobs(
        &self,
        _: Request<FindMissingBlobsRequest>,
    ) -> std::result::Result<Response<FindMissingBlobsResponse>, Status> {
        Ok(Response::new(FindMissingBlobsResponse::default()))
    }

    async fn batch_update_blobs(
        &self,
        _: Request<BatchUpdateBlobsRequest>,
    ) -> std::result::Result<Response<BatchUpdateBlobsResponse>, Status> {
        Ok(Response::new(BatchUpdateBlobsResponse::default()))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<BatchReadBlobsRequest>,
    ) -> std::result::Result<Response<BatchReadBlobsResponse>, Status> {
        let read = |digest: cullet_proto::reapi::Digest| BlobRead {
            data: Bytes::from(vec![7; digest.size_bytes as usize]),
            digest: Some(digest),
            ..BlobRead::default()
        };
        let responses = request.into_inner().digests.into_iter().map(read).collect();
        Ok(Response::new(BatchReadBlobsResponse { responses }))
    }

    type GetTreeStream = BoxStream<'static, std::result::Result<GetTreeResponse, Status>>;

    async fn get_tree(
        &self,
        _: Request<GetTreeRequest>,
    ) -> std::result::Result<Response<Self::GetTreeStream>, Status> {
        Err(Status::unimplemented("nothing is here"))
    }

    async fn split_blob(
        &self,
        _: Request<SplitBlobRequest>,
    ) -> std::result::Result<Response<SplitBlobResponse>, Status> {
        Err(Status::unimplemented("nothing is here"))
    }

    async fn splice_blob(
        &self,
        _: Request<SpliceBlobRequest>,
    ) -> std::result::Result<Response<SpliceBlobResponse>, Status> {
        Err(Status::unimplemented("nothing is here"))
    }
}

#[tonic::async_trait]
impl ByteStream for Echo {
    type ReadStream = BoxStream<'static, std::result::Result<ReadResponse, Status>>;

    /// As many bytes as the resource's name says at its end.
    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> std::result::Result<Response<Self::ReadStream>, Status> {
        let name = request.into_inner().resource_name;
        let size: usize = name.rsplit('/').next().and_then(|size| size.parse().ok()).unwrap_or(0);
        let piece = Bytes::from(vec![7; PIECE]);
        let pieces = (0..size.div_ceil(PIECE)).map(move |_| Ok(ReadResponse { data: piece.clone() }));
        Ok(Response::new(Box::pin(stream::iter(pieces))))
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> std::result::Result<Response<WriteResponse>, Status> {
        let (mut pieces, mut size) = (request.into_inner(), 0);
        while let Some(piece) = pieces.message().await? {
            size += piece.data.len() as i64;
        }
        Ok(Response::new(WriteResponse { committed_size: size }))
    }

    async fn query_write_status(
        &self,
        _: Request<QueryWriteStatusRequest>,
    ) -> std::result::Result<Response<QueryWriteStatusResponse>, Status> {
        Err(Status::unimplemented("nothing is here"))
    }
}

/// Serves until it is killed, and says where.
pub(crate) fn child() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let listener = TcpIncoming::bind(any)?.with_nodelay(Some(true));
        println!("{}", listener.local_addr()?);
        let message = 8 << 20;
        Server::builder()
            .initial_stream_window_size(1 << 20)
            .add_service(ContentAddressableStorageServer::new(Echo).max_decoding_message_size(message))
            .add_service(ByteStreamServer::new(Echo).max_decoding_message_size(message))
            .serve_with_incoming(listener)
            .await?;
        Ok(())
    })
}

/// One that runs.
#[derive(Debug)]
pub(super) struct EchoServer {
    child: Child,
    pub(super) url: String,
}

impl EchoServer {
    pub(super) fn start() -> Result<Self> {
        use std::io::BufRead as _;
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("__echo").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("the echo has no output")?;
        std::io::BufReader::new(output).read_line(&mut line)?;
        Ok(Self { child, url: format!("http://{}", line.trim()) })
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
