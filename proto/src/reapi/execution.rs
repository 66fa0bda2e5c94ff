//! Messages of `Execution` in `build.bazel.remote.execution.v2`. Field numbers are those of the published API, version 2.3, and
//! of the later one where clients may already ask for what is inlined.

use super::results::ResultsCachePolicy;
use super::storage::Status;
use super::{ActionResult, Digest, ExecutedActionMetadata};

/// Execute this.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ExecuteRequest {
    /// The instance; empty for the default one.
    #[prost(string, tag = "1")]
    pub instance_name: String,
    /// It is executed even where there is a result.
    #[prost(bool, tag = "3")]
    pub skip_cache_lookup: bool,
    /// The action.
    #[prost(message, optional, tag = "6")]
    pub action_digest: Option<Digest>,
    /// How soon.
    #[prost(message, optional, tag = "7")]
    pub execution_policy: Option<ExecutionPolicy>,
    /// How much it matters that the result is kept.
    #[prost(message, optional, tag = "8")]
    pub results_cache_policy: Option<ResultsCachePolicy>,
    /// A value of `DigestFunction`; 0 where the digest's length tells.
    #[prost(int32, tag = "9")]
    pub digest_function: i32,
    /// Whether standard output should stand in the answer.
    #[prost(bool, tag = "10")]
    pub inline_stdout: bool,
    /// Whether standard error should.
    #[prost(bool, tag = "11")]
    pub inline_stderr: bool,
    /// Output files whose contents should, by their paths.
    #[prost(string, repeated, tag = "12")]
    pub inline_output_files: Vec<String>,
}

/// How soon something is executed.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ExecutionPolicy {
    /// Smaller numbers go first; 0 for the default.
    #[prost(int32, tag = "1")]
    pub priority: i32,
}

/// What came of this operation?
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WaitExecutionRequest {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// The response of an operation that is done.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecuteResponse {
    /// What came of it.
    #[prost(message, optional, tag = "1")]
    pub result: Option<ActionResult>,
    /// Whether it was there before.
    #[prost(bool, tag = "2")]
    pub cached_result: bool,
    /// Why nothing came of it.
    #[prost(message, optional, tag = "3")]
    pub status: Option<Status>,
    /// For people.
    #[prost(string, tag = "5")]
    pub message: String,
}

/// The metadata of an operation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecuteOperationMetadata {
    /// A value of [`Stage`].
    #[prost(enumeration = "Stage", tag = "1")]
    pub stage: i32,
    /// The action.
    #[prost(message, optional, tag = "2")]
    pub action_digest: Option<Digest>,
    /// Where standard output can be read while it runs; empty where it cannot.
    #[prost(string, tag = "3")]
    pub stdout_stream_name: String,
    /// The same for standard error.
    #[prost(string, tag = "4")]
    pub stderr_stream_name: String,
    /// What is known so far.
    #[prost(message, optional, tag = "5")]
    pub partial_execution_metadata: Option<ExecutedActionMetadata>,
    /// A value of `DigestFunction`.
    #[prost(int32, tag = "6")]
    pub digest_function: i32,
}

/// How far an operation is: `ExecutionStage.Value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Stage {
    /// Nobody says.
    Unknown = 0,
    /// It is looked whether there is a result.
    CacheCheck = 1,
    /// It waits for a worker.
    Queued = 2,
    /// A worker has it.
    Executing = 3,
    /// It is done.
    Completed = 4,
}

/// Who asks, and for what: the header `build.bazel.remote.execution.v2.requestmetadata-bin`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct RequestMetadata {
    /// The client's invocation.
    #[prost(string, tag = "3")]
    pub tool_invocation_id: String,
    /// What kind of action it is, such as `CppCompile`.
    #[prost(string, tag = "5")]
    pub action_mnemonic: String,
    /// For which target.
    #[prost(string, tag = "6")]
    pub target_id: String,
}

/// Clients and servers of `Execution`.
pub mod service {
    #![allow(missing_docs, unreachable_pub, clippy::all, reason = "made by tonic")]
    include_service!("build.bazel.remote.execution.v2.Execution");
}
