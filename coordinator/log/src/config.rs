//! Sizes, and who writes.

use crate::frame;

/// How the log works; the defaults fit a coordinator.
#[derive(Clone, Debug)]
pub struct Config {
    /// A segment that has reached this size is followed by another one. Compaction frees whole segments, so that up to
    /// this much stays behind.
    pub segment_bytes: u64,
    /// A segment's file is made longer with zeros by this much at a time, up to [`Self::segment_bytes`], so that most
    /// syncs have only data to make durable, and neither a new length nor a new place on the disk. Cut to
    /// [`frame::MAX_RESERVE_BYTES`].
    pub reserve_bytes: u64,
    /// Entries kept in memory for replication; what a slow follower needs beyond it is read from the disk.
    pub cache_bytes: usize,
    /// One write and one sync cover at most this much (or one larger record). Cut to half of
    /// [`frame::MAX_BODY_BYTES`].
    pub batch_bytes: usize,
    /// Operations waiting for the writer; [`crate::Log::append`] waits while there is more.
    pub queue_bytes: usize,
    /// Who writes.
    pub writer: WriterMode,
}

/// Who writes to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriterMode {
    /// A thread of the log's own.
    Thread,
    /// The caller, before its call returns: for simulations that have to be the same every time.
    Inline,
    /// Whoever calls [`crate::Log::write_next`]: for simulations whose disk takes time. What nobody wrote is lost with
    /// the last handle, as it is with a process that is killed.
    Driven,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            reserve_bytes: 1 << 20,
            cache_bytes: 32 << 20,
            batch_bytes: 4 << 20,
            queue_bytes: 128 << 20,
            writer: WriterMode::Thread,
        }
    }
}

impl Config {
    pub(crate) fn bounded(mut self) -> Self {
        self.batch_bytes = self.batch_bytes.min(frame::MAX_BODY_BYTES / 2);
        self.reserve_bytes = self.reserve_bytes.min(frame::MAX_RESERVE_BYTES).min(self.segment_bytes);
        self
    }
}
