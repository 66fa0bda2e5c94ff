//! What can go wrong with the history.

use std::io;
use std::path::PathBuf;

/// Why the history could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Nothing was ever run here, or it was all pruned.
    #[error("there is no run yet in {}", .dir.display())]
    Empty {
        /// Where runs are kept.
        dir: PathBuf,
    },
    /// No run has this name.
    #[error("there is no run '{name}'")]
    Unknown {
        /// As asked.
        name: String,
    },
    /// Several runs have names that begin so.
    #[error("'{name}' is the start of {} runs: {}", .candidates.len(), .candidates.join(", "))]
    Ambiguous {
        /// As asked.
        name: String,
        /// Whole names.
        candidates: Vec<String>,
    },
    /// Another process writes the run down.
    #[error("run {run} is being written down by another process")]
    Recorded {
        /// Which.
        run: String,
    },
    /// A run's description cannot be read.
    #[error("{} is damaged", .path.display())]
    Damaged {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was attempted, such as `read`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl HistoryError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
