//! Messages of `ContentAddressableStorage` in `build.bazel.remote.execution.v2`. Field numbers are those of the
//! published API, version 2.3, and for chunks version 2.12.

use prost::bytes::Bytes;
use prost_types::Any;

use super::Digest;

/// Which of these blobs are not there?
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FindMissingBlobsRequest {
    /// The instance; empty for the default one.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The blobs.
    #[prost(message, repeated, tag = "2")]
    pub blob_digests: Vec<Digest>,
    /// A value of `DigestFunction`; 0 where the digest's length tells.
    #[prost(int32, tag = "3")]
    pub digest_function: i32,
}

/// Those that are not there.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct FindMissingBlobsResponse {
    /// The blobs.
    #[prost(message, repeated, tag = "2")]
    pub missing_blob_digests: Vec<Digest>,
}

/// Small blobs to store.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct BatchUpdateBlobsRequest {
    /// The instance; empty for the default one.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The blobs.
    #[prost(message, repeated, tag = "2")]
    pub requests: Vec<BlobUpdate>,
    /// A value of `DigestFunction`; 0 where the digest's length tells.
    #[prost(int32, tag = "5")]
    pub digest_function: i32,
}

/// One blob to store: `BatchUpdateBlobsRequest.Request`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct BlobUpdate {
    /// Its name.
    #[prost(message, optional, tag = "1")]
    pub digest: Option<Digest>,
    /// Its bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
    /// A value of `Compressor`; 0 for none.
    #[prost(int32, tag = "3")]
    pub compressor: i32,
}

/// What came of each.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BatchUpdateBlobsResponse {
    /// In any order.
    #[prost(message, repeated, tag = "1")]
    pub responses: Vec<BlobUpdated>,
}

/// What came of one: `BatchUpdateBlobsResponse.Response`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BlobUpdated {
    /// Its name.
    #[prost(message, optional, tag = "1")]
    pub digest: Option<Digest>,
    /// What came of it.
    #[prost(message, optional, tag = "2")]
    pub status: Option<Status>,
}

/// Small blobs to read.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct BatchReadBlobsRequest {
    /// The instance; empty for the default one.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The blobs.
    #[prost(message, repeated, tag = "2")]
    pub digests: Vec<Digest>,
    /// Values of `Compressor` that the client understands.
    #[prost(int32, repeated, tag = "3")]
    pub acceptable_compressors: Vec<i32>,
    /// A value of `DigestFunction`; 0 where the digest's length tells.
    #[prost(int32, tag = "4")]
    pub digest_function: i32,
}

/// What was read.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BatchReadBlobsResponse {
    /// In any order.
    #[prost(message, repeated, tag = "1")]
    pub responses: Vec<BlobRead>,
}

/// One of them: `BatchReadBlobsResponse.Response`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BlobRead {
    /// Its name.
    #[prost(message, optional, tag = "1")]
    pub digest: Option<Digest>,
    /// Its bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub data: Bytes,
    /// What came of it.
    #[prost(message, optional, tag = "3")]
    pub status: Option<Status>,
    /// A value of `Compressor`; 0 for none.
    #[prost(int32, tag = "4")]
    pub compressor: i32,
}

/// A directory, and all below it?
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GetTreeRequest {
    /// The instance; empty for the default one.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The directory.
    #[prost(message, optional, tag = "2")]
    pub root_digest: Option<Digest>,
    /// The most directories in one answer; 0 for as many as the server likes.
    #[prost(int32, tag = "3")]
    pub page_size: i32,
    /// Where to go on; empty to begin.
    #[prost(string, tag = "4")]
    pub page_token: String,
    /// A value of `DigestFunction`; 0 where the digest's length tells.
    #[prost(int32, tag = "5")]
    pub digest_function: i32,
}

/// Some of its directories.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GetTreeResponse {
    /// Encoded `Directory` messages. Field type and number agree with the message form of the API.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub directories: Vec<Bytes>,
    /// What to ask for next; empty behind the last one.
    #[prost(string, tag = "2")]
    pub next_page_token: String,
}

/// What is this blob made of?
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SplitBlobRequest {
    /// The instance; empty for the default one.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The blob.
    #[prost(message, optional, tag = "2")]
    pub blob_digest: Option<Digest>,
    /// A value of `DigestFunction`; 0 where the digest's length tells.
    #[prost(int32, tag = "3")]
    pub digest_function: i32,
    /// A value of `ChunkingFunction` that the client would like; 0 for any.
    #[prost(int32, tag = "4")]
    pub chunking_function: i32,
}

/// Blobs that are that blob, one behind the other.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SplitBlobResponse {
    /// The chunks, in their order.
    #[prost(message, repeated, tag = "1")]
    pub chunk_digests: Vec<Digest>,
    /// A value of `ChunkingFunction`: how it was cut.
    #[prost(int32, tag = "2")]
    pub chunking_function: i32,
}

/// These blobs, one behind the other, are that blob.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SpliceBlobRequest {
    /// The instance; empty for the default one.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The blob that they become.
    #[prost(message, optional, tag = "2")]
    pub blob_digest: Option<Digest>,
    /// The chunks, in their order.
    #[prost(message, repeated, tag = "3")]
    pub chunk_digests: Vec<Digest>,
    /// A value of `DigestFunction`; 0 where the digest's length tells.
    #[prost(int32, tag = "4")]
    pub digest_function: i32,
    /// A value of `ChunkingFunction`: how the client cut it; 0 where it does not say.
    #[prost(int32, tag = "5")]
    pub chunking_function: i32,
}

/// The blob is there.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SpliceBlobResponse {
    /// What it was found to be.
    #[prost(message, optional, tag = "1")]
    pub blob_digest: Option<Digest>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// A gRPC status code; 0 where all is well.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// For people.
    #[prost(string, tag = "2")]
    pub message: String,
    /// More, by type.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// Clients and servers of `ContentAddressableStorage`.
pub mod service {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "made by tonic")]
    include_service!("build.bazel.remote.execution.v2.ContentAddressableStorage");
}
