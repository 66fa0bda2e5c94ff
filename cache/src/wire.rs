//! [`ActionResult`](crate::ActionResult) in the form of the Remote Execution API v2, which is what action caches store and send.
//!
//! The API has one list each for files, directories and links, so an order across kinds cannot survive:
//! outputs come back sorted by path, which is the order in which REAPI wants `output_paths` declared.
//! Directories use the output format "directory only" (`root_directory_digest`), because our stores keep every
//! directory as a blob anyway and a `Tree` would repeat them.

mod decode;
mod encode;

use cullet_digest::ParseDigestError;

/// Why bytes are not a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionResultError {
    /// They are no `ActionResult` message.
    #[error("these bytes are not an ActionResult message")]
    Decode(#[from] prost::DecodeError),
    /// A digest is missing where there must be one. A directory in the format "tree only" lands here as well.
    #[error("'{0}' in an ActionResult has no digest")]
    NoDigest(String),
    /// A digest is not one.
    #[error("'{what}' in an ActionResult has an unusable digest")]
    Digest {
        /// The output or field.
        what: String,
        /// What is wrong with it.
        source: ParseDigestError,
    },
    /// Two outputs have one path.
    #[error("two outputs of an ActionResult are at '{0}'")]
    Duplicate(String),
}

/// The type of the message in `auxiliary_metadata` that tells how the two output streams were interleaved.
const INTERLEAVING_URL: &str = "type.googleapis.com/cullet.v1.LogInterleaving";

/// The type of the message in `auxiliary_metadata` that tells what the execution took.
const USAGE_URL: &str = "type.googleapis.com/cullet.v1.Usage";

/// `cullet.v1.Usage`: see [`crate::Usage`].
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct UsageMessage {
    #[prost(uint64, tag = "1")]
    cpu_ms: u64,
    #[prost(uint64, tag = "2")]
    peak_memory_bytes: u64,
    #[prost(uint64, tag = "3")]
    read_bytes: u64,
    #[prost(uint64, tag = "4")]
    written_bytes: u64,
}

/// The type of the message in `auxiliary_metadata` that says who signed the result.
const SIGNATURE_URL: &str = "type.googleapis.com/cullet.v1.Signature";

/// `cullet.v1.Signature`: see [`crate::trust::Signature`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct SignatureMessage {
    /// 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    /// As scopes are written.
    #[prost(string, tag = "2")]
    scope: String,
    /// 64 bytes.
    #[prost(bytes = "vec", tag = "3")]
    signature: Vec<u8>,
}

/// `cullet.v1.LogInterleaving`: see [`crate::ActionResult::interleaving`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct LogInterleaving {
    /// Lengths in bytes of alternating runs, standard output first.
    #[prost(uint32, repeated, tag = "1")]
    runs: Vec<u32>,
}
