//! Records and data as objects of a bucket, and blobs and results as files of a directory that several machines mount.
//!
//! In a directory:
//!
//! ```text
//! cas/<function>/<2 hex>/<hash>-<size>   a blob, as it is
//! ac/<function>/<2 hex>/<hash>-<size>    a result, framed and checksummed as in the local cache
//! wal/<16 hex>.log                       small blobs that are no files yet
//! ```
//!
//! What is in a bucket is said at [`ObjectRecords`], and what records and data are for in [`crate::packed`].
//!
//! **What is guaranteed.** An object is there whole or not at all: a directory gets it by a rename, a bucket by one
//! request. When a write is acknowledged it survives a crash of the writer; in a directory the file and its directory
//! have been synced (fsync), or the log that holds it, so it survives a power cut too, and a bucket gives whatever its provider
//! promises. What a
//! writer that was killed leaves behind is never taken for a blob: in a directory a file whose name ends in `#` and a
//! number, or one that is shorter than its name says, in a bucket nothing.
//!
//! **What is not.** A blob that is there with the right length is not uploaded again, whatever its bytes. Readers
//! check them, and one that finds other bytes deletes the object, so that it is missing and can be made again.
//!
//! Everything has a deadline, a bounded number of attempts, and a bounded number of requests in flight. Where a bucket fails
//! for a passing reason it is asked again: a few times for each operation, and within a [`budget`] for all of them.

mod actions;
mod answers;
mod blobs;
mod bucket;
mod budget;
mod create;
mod directories;
mod discard;
mod files;
mod get;
mod listing;
mod location;
mod logged;
mod options;
mod place;
mod put;
mod records;
mod service;
mod write_ahead;

#[cfg(test)]
mod tests;

pub use actions::ObjectActions;
pub use blobs::ObjectBlobs;
pub use location::Location;
pub use options::ObjectOptions;
pub(crate) use place::Place;
pub(crate) use records::ObjectRecords;
pub use service::Service;
