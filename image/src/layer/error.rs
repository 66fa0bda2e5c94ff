//! What can be wrong with a layer.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::TarError;
use crate::Digest;

/// Why a layer could not be unpacked or written. Names of entries are shown with what is not UTF-8 replaced.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LayerError {
    /// The tar inside is damaged, ambiguous, or uses what is refused.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// An entry would be, or refer to, something that is not below the layer's own directory or not of this layer.
    #[error("entry `{entry}` {problem}")]
    Entry {
        /// The name in the archive.
        entry: String,
        /// What is wrong.
        problem: String,
    },
    /// More than the limits allow.
    #[error("the layer has more than {limit} {what}")]
    Limit {
        /// Of what: `bytes unpacked`, `entries`.
        what: &'static str,
        /// The most allowed.
        limit: u64,
    },
    /// A device or a named pipe, where those are refused.
    #[error("entry `{entry}` is a {kind}, which images of steps may not bring along")]
    Device {
        /// The name in the archive.
        entry: String,
        /// Which kind.
        kind: &'static str,
    },
    /// The stream ended early, or its compression is damaged or of an unknown kind.
    #[error("the layer cannot be read")]
    Read {
        /// Why not.
        #[source]
        source: Arc<io::Error>,
    },
    /// The layer is not as long as its descriptor says.
    #[error("the layer has {actual} bytes, its descriptor says {expected}")]
    Size {
        /// As announced.
        expected: u64,
        /// As read; where it is longer, reading stopped there.
        actual: u64,
    },
    /// The compressed bytes are not those of the descriptor.
    #[error("the layer is damaged: its bytes are those of {actual}, not of {expected}")]
    Digest {
        /// As announced.
        expected: Digest,
        /// As read.
        actual: Digest,
    },
    /// The uncompressed bytes are not those that the configuration names.
    #[error("the layer's content is {actual}, but the image's configuration says {expected}")]
    DiffId {
        /// As announced.
        expected: Digest,
        /// As read.
        actual: Digest,
    },
    /// The file system refused.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        /// What was attempted, such as `create`.
        action: &'static str,
        /// Of what; relative to the layer for entries.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Arc<io::Error>,
    },
    /// The process that does it for another one has said so.
    #[error("{problem}")]
    Elsewhere {
        /// What is wrong, in a sentence.
        problem: String,
    },
    /// Whoever asked for it does not want it any more.
    #[error("unpacking was given up")]
    Cancelled,
}

impl LayerError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, error: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.into(), source: Arc::new(error.into()) }
    }

    pub(crate) fn entry(entry: &[u8], problem: impl Into<String>) -> Self {
        Self::Entry { entry: shown(entry), problem: problem.into() }
    }
}

/// A name from an archive for people.
pub(crate) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(LONGEST_SHOWN).collect()
}

/// In characters: enough to recognise a name, and an error stays readable.
const LONGEST_SHOWN: usize = 200;
