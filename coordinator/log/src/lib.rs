//! The durable store under raft: the log, the vote and the snapshots of one node, as files in one directory.
//!
//! Nothing is acknowledged before it is on the disk. One writer takes whatever operations wait, writes them as one
//! frame, syncs the file once, and only then tells everybody (group commit). What raft says about its entries, votes and
//! membership is opaque bytes here: the store knows indexes and nothing else, so it needs neither a raft library nor an
//! async runtime.
//!
//! # Files
//!
//! - `lock`: held for as long as the directory is open.
//! - `identity`: the cluster's and the node's id, drawn once.
//! - `log-<number>.seg`: records in the order they were acknowledged; see [`frame`] for the bytes. Segments are numbered
//!   one after the other; their number says nothing about indexes, because a truncated tail is written again.
//!   Compaction removes whole segments from the front, and each segment begins with the vote and the purge point as they
//!   were, so that nothing in a removed one is missed.
//! - `snapshot-<index>-<serial>.snap`: the newest two snapshots.
//! - `*.tmp`: not finished, removed at the next opening.
//!
//! # Failures
//!
//! - A write or a sync that fails ends the log: nothing is tried again, because the kernel may have dropped the very
//!   pages whose sync failed. The first error is what every later call returns, and the owner is told ([`OnFailure`]).
//! - A full disk is different: what was written is taken back, everything that waited fails with [`Error::Full`], the log
//!   is as it was at its last acknowledgement, and goes on as soon as there is space.
//! - A torn tail, which is what a power cut leaves, is cut off; damage anywhere else is [`Error::Corrupt`]. See [`torn`]
//!   for where the line is and what cannot be told apart.

mod config;
pub mod disk;
mod durable;
mod error;
pub mod frame;
mod identity;
mod log;
mod names;
mod open;
mod pending;
pub mod planted;
mod reading;
mod recent;
mod record;
mod replay;
mod segment;
mod shared;
pub mod simulation;
mod snapshot;
mod state;
pub mod torn;
mod types;
mod writer;

pub use config::{Config, WriterMode};
pub use disk::{Disk, DiskFile, OpenMode, RealDisk};
pub use error::{Error, Result};
pub use identity::{ClusterId, Identity};
pub use log::{Log, Recovery, Statistics};
pub use shared::OnFailure;
pub use snapshot::{SnapshotInfo, SnapshotReader, SnapshotWriter};
pub use types::{Done, Entry, LogId};
