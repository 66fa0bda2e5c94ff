//! Snapshots: what the entries up to one did, so that they need not be kept.
//!
//! A file is a header (who wrote it, the log id it reaches to, what raft wants to know about it) and chunks, each with a
//! checksum that begins with the header's and counts the chunks, and an end mark with the length of everything. It gets
//! its name when all of it is durable.

mod keep;
mod layout;
mod read;
mod write;

use std::path::PathBuf;

use bytes::Bytes;

pub(crate) use keep::Snapshots;
pub use read::SnapshotReader;
pub use write::SnapshotWriter;

use crate::types::LogId;

/// A finished snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The last entry whose effect is in it.
    pub last: LogId,
    /// What the caller said about it.
    pub meta: Bytes,
    /// Length of the data.
    pub data_bytes: u64,
    /// Its file, which is removed when there are two newer ones.
    pub path: PathBuf,
}
