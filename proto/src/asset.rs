//! Messages of `build.bazel.remote.asset.v1`: content that is known by where it came from. Field numbers are those of the published API.

use prost_types::{Duration, Timestamp};

use crate::reapi::Digest;
use crate::reapi::storage::Status;

/// What more is said of an address, such as which revision is meant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, prost::Message)]
pub struct Qualifier {
    /// What is said.
    #[prost(string, tag = "1")]
    pub name: String,
    /// How.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// What is at one of these addresses? Of a blob and of a directory, which differ in nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FetchRequest {
    /// The instance; empty for the default one.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// How long to look for it.
    #[prost(message, optional, tag = "2")]
    pub timeout: Option<Duration>,
    /// What was stored before does not count.
    #[prost(message, optional, tag = "3")]
    pub oldest_content_accepted: Option<Timestamp>,
    /// The addresses, the preferred one first.
    #[prost(string, repeated, tag = "4")]
    pub uris: Vec<String>,
    /// What more is said of all of them.
    #[prost(message, repeated, tag = "5")]
    pub qualifiers: Vec<Qualifier>,
    /// A value of `DigestFunction`; 0 for SHA-256.
    #[prost(int32, tag = "6")]
    pub digest_function: i32,
}

/// This is there: a blob, or the root of a directory.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FetchResponse {
    /// Why nothing was found.
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    /// At which address.
    #[prost(string, tag = "2")]
    pub uri: String,
    /// What was said of it.
    #[prost(message, repeated, tag = "3")]
    pub qualifiers: Vec<Qualifier>,
    /// Until when it counts.
    #[prost(message, optional, tag = "4")]
    pub expires_at: Option<Timestamp>,
    /// `blob_digest` or `root_directory_digest`.
    #[prost(message, optional, tag = "5")]
    pub digest: Option<Digest>,
    /// A value of `DigestFunction`.
    #[prost(int32, tag = "6")]
    pub digest_function: i32,
}

/// This is at all of these addresses.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PushRequest {
    /// The instance; empty for the default one.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The addresses.
    #[prost(string, repeated, tag = "2")]
    pub uris: Vec<String>,
    /// What more is said of all of them.
    #[prost(message, repeated, tag = "3")]
    pub qualifiers: Vec<Qualifier>,
    /// Until when it counts; for ever, where it is not said.
    #[prost(message, optional, tag = "4")]
    pub expire_at: Option<Timestamp>,
    /// `blob_digest` or `root_directory_digest`.
    #[prost(message, optional, tag = "5")]
    pub digest: Option<Digest>,
    /// Blobs that have to be there as long as it is found.
    #[prost(message, repeated, tag = "6")]
    pub references_blobs: Vec<Digest>,
    /// Directories that have to be.
    #[prost(message, repeated, tag = "7")]
    pub references_directories: Vec<Digest>,
    /// A value of `DigestFunction`; 0 for SHA-256.
    #[prost(int32, tag = "8")]
    pub digest_function: i32,
}

/// It was stored.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct PushResponse {}

/// Clients and servers of `Fetch` and `Push`.
pub mod service {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "made by tonic")]
    include_service!("build.bazel.remote.asset.v1.Fetch");
    include_service!("build.bazel.remote.asset.v1.Push");
}
