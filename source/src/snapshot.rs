//! What the last scan of a source saw: the stat cache.

use std::ops::Range;

use cullet_digest::DigestFunction;

use crate::node::{Entry, Listing, Span};
use crate::rules::RulesKey;

/// A whole tree, directory by directory, as it is kept on disk. Every range and span lies within its list: the
/// decoder checks it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) function: DigestFunction,
    pub(crate) text: String,
    pub(crate) subdirs: Vec<Span>,
    pub(crate) entries: Vec<Entry>,
    /// The root first; the subdirectories of a directory follow each other.
    pub(crate) dirs: Vec<Record>,
}

/// One directory of a [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// In [`Snapshot::subdirs`].
    pub(crate) subdirs: Range<u32>,
    /// In [`Snapshot::entries`].
    pub(crate) entries: Range<u32>,
    /// The record of the first subdirectory.
    pub(crate) first_child: u32,
    /// The rules that chose these entries.
    pub(crate) rules: RulesKey,
    /// Of its encoded `Directory`.
    pub(crate) hash: [u8; 32],
    /// Of its encoded `Directory`, in bytes; 0 for a directory without files.
    pub(crate) size: u64,
}

impl Snapshot {
    pub(crate) fn record(&self, index: u32) -> Option<&Record> {
        self.dirs.get(index as usize)
    }

    pub(crate) fn listing(&self, index: u32) -> Listing<'_> {
        let Some(record) = self.record(index) else { return Listing::EMPTY };
        Listing {
            text: &self.text,
            subdirs: &self.subdirs[record.subdirs.start as usize..record.subdirs.end as usize],
            entries: &self.entries[record.entries.start as usize..record.entries.end as usize],
        }
    }
}
