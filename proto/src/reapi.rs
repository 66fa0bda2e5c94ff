//! Messages of `build.bazel.remote.execution.v2`. Field numbers are those of the published API, version 2.3;
//! byte fields are declared so that decoding does not copy where the input allows it.

use prost_types::{Any, Duration, Timestamp};

pub mod capabilities;
pub mod execution;
pub mod results;
pub mod storage;

/// A hash in lower-case hexadecimal and a size in bytes.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Digest {
    /// The hash.
    #[prost(string, tag = "1")]
    pub hash: String,
    /// The size in bytes; never negative.
    #[prost(int64, tag = "2")]
    pub size_bytes: i64,
}

/// What is executed, all of it; its digest is the key of the action cache.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Action {
    /// The [`Command`].
    #[prost(message, optional, tag = "1")]
    pub command_digest: Option<Digest>,
    /// The root directory of the inputs.
    #[prost(message, optional, tag = "2")]
    pub input_root_digest: Option<Digest>,
    /// After how long it is stopped.
    #[prost(message, optional, tag = "6")]
    pub timeout: Option<Duration>,
    /// Whether the result must not be cached nor shared with identical actions in flight.
    #[prost(bool, tag = "7")]
    pub do_not_cache: bool,
    /// Separates the keys of otherwise equal actions.
    #[prost(bytes = "bytes", tag = "9")]
    pub salt: prost::bytes::Bytes,
    /// What the machine must be.
    #[prost(message, optional, tag = "10")]
    pub platform: Option<Platform>,
}

/// A process to run.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Command {
    /// The program and its arguments.
    #[prost(string, repeated, tag = "1")]
    pub arguments: Vec<String>,
    /// Its environment, sorted by name.
    #[prost(message, repeated, tag = "2")]
    pub environment_variables: Vec<EnvironmentVariable>,
    /// Which paths are output files, for clients of version 2.0. Nothing where there are `output_paths`.
    #[prost(string, repeated, tag = "3")]
    pub output_files: Vec<String>,
    /// Which paths are output directories, for the same.
    #[prost(string, repeated, tag = "4")]
    pub output_directories: Vec<String>,
    /// What the machine must be, for clients before version 2.2: since then, the [`Action`] says it.
    #[prost(message, optional, tag = "5")]
    pub platform: Option<Platform>,
    /// Where it starts, relative to the input root.
    #[prost(string, tag = "6")]
    pub working_directory: String,
    /// Which paths are outputs, sorted, relative to the working directory.
    #[prost(string, repeated, tag = "7")]
    pub output_paths: Vec<String>,
    /// A value of `OutputDirectoryFormat`: 0 tree only, 1 directory only, 2 both.
    #[prost(int32, tag = "9")]
    pub output_directory_format: i32,
}

/// One variable of an environment.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct EnvironmentVariable {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// Requirements on the machine, sorted by name, then value.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Platform {
    /// The requirements.
    #[prost(message, repeated, tag = "1")]
    pub properties: Vec<Property>,
}

/// One requirement.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Property {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// What an action gave.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ActionResult {
    /// Output files.
    #[prost(message, repeated, tag = "2")]
    pub output_files: Vec<OutputFile>,
    /// Output directories.
    #[prost(message, repeated, tag = "3")]
    pub output_directories: Vec<OutputDirectory>,
    /// The exit code of the process.
    #[prost(int32, tag = "4")]
    pub exit_code: i32,
    /// Standard output where it is short.
    #[prost(bytes = "bytes", tag = "5")]
    pub stdout_raw: prost::bytes::Bytes,
    /// Standard output where it is long.
    #[prost(message, optional, tag = "6")]
    pub stdout_digest: Option<Digest>,
    /// Standard error where it is short.
    #[prost(bytes = "bytes", tag = "7")]
    pub stderr_raw: prost::bytes::Bytes,
    /// Standard error where it is long.
    #[prost(message, optional, tag = "8")]
    pub stderr_digest: Option<Digest>,
    /// Where and when it ran.
    #[prost(message, optional, tag = "9")]
    pub execution_metadata: Option<ExecutedActionMetadata>,
    /// Symbolic links to files, of clients of version 2.0 and of those that speak it as well.
    #[prost(message, repeated, tag = "10")]
    pub output_file_symlinks: Vec<OutputSymlink>,
    /// Symbolic links to directories, of the same.
    #[prost(message, repeated, tag = "11")]
    pub output_directory_symlinks: Vec<OutputSymlink>,
    /// Output symbolic links.
    #[prost(message, repeated, tag = "12")]
    pub output_symlinks: Vec<OutputSymlink>,
}

/// A file that an action wrote.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct OutputFile {
    /// Relative to the working directory.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Its content.
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
    /// Whether it may be executed.
    #[prost(bool, tag = "4")]
    pub is_executable: bool,
    /// Its content, where somebody asked for it beside the digest.
    #[prost(bytes = "bytes", tag = "5")]
    pub contents: prost::bytes::Bytes,
}

/// A directory that an action wrote.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct OutputDirectory {
    /// Relative to the working directory.
    #[prost(string, tag = "1")]
    pub path: String,
    /// A [`Tree`] with the directory and all below it; absent with format "directory only".
    #[prost(message, optional, tag = "3")]
    pub tree_digest: Option<Digest>,
    /// Whether the tree lists parents before children.
    #[prost(bool, tag = "4")]
    pub is_topologically_sorted: bool,
    /// The root `Directory`; absent with format "tree only".
    #[prost(message, optional, tag = "5")]
    pub root_directory_digest: Option<Digest>,
}

/// A symbolic link that an action wrote.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct OutputSymlink {
    /// Relative to the working directory.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Where it points.
    #[prost(string, tag = "2")]
    pub target: String,
}

/// Where and when an action ran.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExecutedActionMetadata {
    /// The worker's name.
    #[prost(string, tag = "1")]
    pub worker: String,
    /// When it was queued.
    #[prost(message, optional, tag = "2")]
    pub queued_timestamp: Option<Timestamp>,
    /// When a worker took it.
    #[prost(message, optional, tag = "3")]
    pub worker_start_timestamp: Option<Timestamp>,
    /// When the worker was done with it.
    #[prost(message, optional, tag = "4")]
    pub worker_completed_timestamp: Option<Timestamp>,
    /// When the worker began to fetch inputs.
    #[prost(message, optional, tag = "5")]
    pub input_fetch_start_timestamp: Option<Timestamp>,
    /// When it had them.
    #[prost(message, optional, tag = "6")]
    pub input_fetch_completed_timestamp: Option<Timestamp>,
    /// When the process started.
    #[prost(message, optional, tag = "7")]
    pub execution_start_timestamp: Option<Timestamp>,
    /// When the process ended.
    #[prost(message, optional, tag = "8")]
    pub execution_completed_timestamp: Option<Timestamp>,
    /// When the worker began to store outputs.
    #[prost(message, optional, tag = "9")]
    pub output_upload_start_timestamp: Option<Timestamp>,
    /// When it had stored them.
    #[prost(message, optional, tag = "10")]
    pub output_upload_completed_timestamp: Option<Timestamp>,
    /// More, by type.
    #[prost(message, repeated, tag = "11")]
    pub auxiliary_metadata: Vec<Any>,
}

/// A directory and everything below it in one blob.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Tree {
    /// The encoded root `Directory`. Field type and number agree with the message form of the API.
    #[prost(bytes = "bytes", tag = "1")]
    pub root: prost::bytes::Bytes,
    /// The encoded directories below it.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub children: Vec<prost::bytes::Bytes>,
}
