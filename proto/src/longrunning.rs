//! `google.longrunning`: operations that outlive the call that began them. Field numbers are those of the published API.

use prost_types::{Any, Duration};

use crate::reapi::storage::Status;

/// An operation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Operation {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// How far it is.
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<Any>,
    /// Whether it has a result.
    #[prost(bool, tag = "3")]
    pub done: bool,
    /// The result.
    #[prost(oneof = "Outcome", tags = "4, 5")]
    pub result: Option<Outcome>,
}

/// The result of an operation.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Outcome {
    /// It came to nothing.
    #[prost(message, tag = "4")]
    Error(Status),
    /// It came to this.
    #[prost(message, tag = "5")]
    Response(Any),
}

/// How far is it?
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GetOperationRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// Which are there?
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListOperationsRequest {
    /// Which of them.
    #[prost(string, tag = "1")]
    pub filter: String,
    /// How many at most; 0 for as many as the server likes.
    #[prost(int32, tag = "2")]
    pub page_size: i32,
    /// Where to go on; empty to begin.
    #[prost(string, tag = "3")]
    pub page_token: String,
    /// Of which collection.
    #[prost(string, tag = "4")]
    pub name: String,
}

/// Some of them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListOperationsResponse {
    /// The operations.
    #[prost(message, repeated, tag = "1")]
    pub operations: Vec<Operation>,
    /// What to ask for next; empty behind the last one.
    #[prost(string, tag = "2")]
    pub next_page_token: String,
}

/// It should end.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CancelOperationRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// Nobody asks for it any more.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct DeleteOperationRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// Is it done, or not for so long?
#[derive(Clone, PartialEq, prost::Message)]
pub struct WaitOperationRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// How long to wait; as long as the server likes, where it is not said.
    #[prost(message, optional, tag = "2")]
    pub timeout: Option<Duration>,
}

/// `google.protobuf.Empty`.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Empty {}

/// Clients and servers of `Operations`.
pub mod service {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "made by tonic")]
    include_service!("google.longrunning.Operations");
}
