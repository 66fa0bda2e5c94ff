//! What can go wrong.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// With the store's own error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the store did not do what it was asked. Errors can be cloned, because one failure answers many operations.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The system refused; from the log's writer this is the end of the log.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, after "cannot".
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// There is no space. Nothing was acknowledged, nothing of it stays, and later operations may succeed.
    #[error("no space left to write {path}: {source}; free some space", path = path.display())]
    Full {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Bytes that were acknowledged are not what was written. The directory must not be used under this node's id again.
    #[error(
        "{path} is damaged at byte {offset} (record {record}): {problem}; set the directory aside and let the node \
         rejoin the cluster under a new id, or restore it from a backup",
        path = path.display()
    )]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Where in it, bytes.
        offset: u64,
        /// How many records or chunks of the file were good before.
        record: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// An earlier operation failed for good; this is its error.
    #[error("the log stopped after an error: {first}")]
    Failed {
        /// The first error.
        #[source]
        first: Arc<Error>,
    },
    /// Another process, or another part of this one, has the directory open.
    #[error("{path} is in use by another process", path = path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The directory belongs to another cluster.
    #[error(
        "{path} belongs to cluster {found}, not to {expected}; give this node a data directory of its own",
        path = path.display()
    )]
    OtherCluster {
        /// The identity file.
        path: PathBuf,
        /// What the caller said.
        expected: crate::ClusterId,
        /// What the file says.
        found: crate::ClusterId,
    },
    /// Written by a version whose files this one cannot read.
    #[error("{path} has format {found}; this version reads format {supported}", path = path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: u32,
        /// What is understood.
        supported: u32,
    },
    /// The entry does not follow the last one.
    #[error("entry {given} cannot be appended: the next index is {expected}")]
    Gap {
        /// The next index.
        expected: u64,
        /// The entry's.
        given: u64,
    },
    /// The log begins behind it.
    #[error("index {index} is no longer in the log, which begins at {first}")]
    Purged {
        /// What was asked for.
        index: u64,
        /// The first index that is there.
        first: u64,
    },
    /// Entries may only be forgotten once a snapshot has what they did.
    #[error("the log cannot be purged to {index}: no snapshot covers it (newest: {newest:?})")]
    NotCovered {
        /// What was to be purged.
        index: u64,
        /// Last index of the newest snapshot.
        newest: Option<u64>,
    },
    /// A newer snapshot is there already.
    #[error("a snapshot up to {index} is older than the one up to {newest} that is there")]
    StaleSnapshot {
        /// Last index of the refused one.
        index: u64,
        /// Last index of the newest one.
        newest: u64,
    },
    /// A record is larger than the format allows.
    #[error("a record of {bytes} bytes is too large: the limit is {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

impl Error {
    /// True where the directory's content is at fault and must not be trusted any more.
    pub fn is_corrupt(&self) -> bool {
        match self {
            Self::Corrupt { .. } => true,
            Self::Failed { first } => first.is_corrupt(),
            _ => false,
        }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, record: u64, problem: &'static str) -> Self {
        Self::Corrupt { path: path.to_owned(), offset, record, problem }
    }

    /// An error of the system, whatever its kind.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source: Arc::new(source) }
    }

    /// An error of an operation that needs space. A sync is none: after a failed sync nothing is known.
    pub(crate) fn writing(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { path, source: Arc::new(source) }
            }
            _ => Self::Io { action, path, source: Arc::new(source) },
        }
    }

    /// What every operation after this one is told.
    pub(crate) fn lasting(&self) -> Self {
        match self {
            Self::Failed { .. } => self.clone(),
            first => Self::Failed { first: Arc::new(first.clone()) },
        }
    }
}
