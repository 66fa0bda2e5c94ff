//! Messages of `ActionCache` in `build.bazel.remote.execution.v2`. Field numbers are those of the published API, version 2.3.

use super::{ActionResult, Digest};

/// What came of an action?
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GetActionResultRequest {
    /// The instance; empty for the default one.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The action.
    #[prost(message, optional, tag = "2")]
    pub action_digest: Option<Digest>,
    /// Whether standard output should stand in the answer.
    #[prost(bool, tag = "3")]
    pub inline_stdout: bool,
    /// Whether standard error should.
    #[prost(bool, tag = "4")]
    pub inline_stderr: bool,
    /// Output files whose contents should, by their paths.
    #[prost(string, repeated, tag = "5")]
    pub inline_output_files: Vec<String>,
    /// A value of `DigestFunction`; 0 where the digest's length tells.
    #[prost(int32, tag = "6")]
    pub digest_function: i32,
}

/// This came of an action.
#[derive(Clone, PartialEq, prost::Message)]
pub struct UpdateActionResultRequest {
    /// The instance; empty for the default one.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// The action.
    #[prost(message, optional, tag = "2")]
    pub action_digest: Option<Digest>,
    /// What came of it.
    #[prost(message, optional, tag = "3")]
    pub action_result: Option<ActionResult>,
    /// How much it matters that it is kept.
    #[prost(message, optional, tag = "4")]
    pub results_cache_policy: Option<ResultsCachePolicy>,
    /// A value of `DigestFunction`; 0 where the digest's length tells.
    #[prost(int32, tag = "5")]
    pub digest_function: i32,
}

/// How much it matters that a result is kept.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ResultsCachePolicy {
    /// Smaller numbers are more important; 0 for the default.
    #[prost(int32, tag = "1")]
    pub priority: i32,
}

/// Clients and servers of `ActionCache`.
pub mod service {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "made by tonic")]
    include_service!("build.bazel.remote.execution.v2.ActionCache");
}
