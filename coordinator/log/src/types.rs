//! What the store is given and gives back.

use bytes::Bytes;

use crate::Result;

/// The place of an entry in the log, and what raft calls it (term, leader), encoded by the caller and opaque here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogId {
    /// The log's first entry has index 0.
    pub index: u64,
    /// At most [`crate::frame::MAX_ID_BYTES`].
    pub encoded: Bytes,
}

impl LogId {
    /// The index behind it.
    pub(crate) fn next(&self) -> u64 {
        self.index.saturating_add(1)
    }

    /// A copy that keeps no larger buffer in memory.
    pub(crate) fn detached(&self) -> Self {
        Self { index: self.index, encoded: Bytes::copy_from_slice(&self.encoded) }
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub id: LogId,
    /// What it says, opaque here; at most [`crate::frame::MAX_DATA_BYTES`] together with the id.
    pub payload: Bytes,
}

impl Entry {
    /// Bytes it takes in memory, near enough for bounds.
    pub(crate) fn weight(&self) -> usize {
        self.id.encoded.len() + self.payload.len() + 64
    }
}

/// Told once the operation is on the disk, or that it failed. It runs on the writer's thread and must not block; in
/// [`crate::WriterMode::Inline`] it runs in the call.
pub type Done = Box<dyn FnOnce(Result<()>) + Send>;
