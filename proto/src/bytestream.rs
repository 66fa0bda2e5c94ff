//! Messages of `google.bytestream`.

use prost::bytes::Bytes;

/// What to read.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ReadRequest {
    /// `{instance}/blobs/{hash}/{size}` to read, `{instance}/uploads/{uuid}/blobs/{hash}/{size}` to write.
    #[prost(string, tag = "1")]
    pub resource_name: String,
    /// Bytes to leave out.
    #[prost(int64, tag = "2")]
    pub read_offset: i64,
    /// Bytes at most; 0 for all.
    #[prost(int64, tag = "3")]
    pub read_limit: i64,
}

/// A piece.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ReadResponse {
    /// The next bytes.
    #[prost(bytes = "bytes", tag = "10")]
    pub data: Bytes,
}

/// A piece to write.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WriteRequest {
    /// `{instance}/blobs/{hash}/{size}` to read, `{instance}/uploads/{uuid}/blobs/{hash}/{size}` to write.
    #[prost(string, tag = "1")]
    pub resource_name: String,
    /// Where it starts.
    #[prost(int64, tag = "2")]
    pub write_offset: i64,
    /// Whether it is the last one.
    #[prost(bool, tag = "3")]
    pub finish_write: bool,
    /// The bytes.
    #[prost(bytes = "bytes", tag = "10")]
    pub data: Bytes,
}

/// How much was written.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WriteResponse {
    /// Bytes.
    #[prost(int64, tag = "1")]
    pub committed_size: i64,
}

/// How much of an upload is there?
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct QueryWriteStatusRequest {
    /// `{instance}/blobs/{hash}/{size}` to read, `{instance}/uploads/{uuid}/blobs/{hash}/{size}` to write.
    #[prost(string, tag = "1")]
    pub resource_name: String,
}

/// So much of it is there.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct QueryWriteStatusResponse {
    /// Bytes.
    #[prost(int64, tag = "1")]
    pub committed_size: i64,
    /// Whether that is all.
    #[prost(bool, tag = "2")]
    pub complete: bool,
}

/// Clients and servers of `ByteStream`.
pub mod service {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "made by tonic")]
    include_service!("google.bytestream.ByteStream");
}
