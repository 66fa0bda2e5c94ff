//! What can be wrong with a tar archive.

use std::io;
use std::sync::Arc;

/// Why an archive is not read further.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TarError {
    /// It ends in the middle of an entry.
    #[error("the archive ends in the middle of `{entry}`")]
    Truncated {
        /// The entry, empty where its header is cut.
        entry: String,
    },
    /// A header that no correct program writes, or two of which different programs would follow different ones.
    #[error("the archive's header at byte {offset} {problem}")]
    Header {
        /// Where, in the uncompressed archive.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// A sparse file in one of GNU tar's forms.
    #[error(
        "`{entry}` is stored as a sparse file, which is not supported: make the layer without `--sparse`"
    )]
    Sparse {
        /// The entry.
        entry: String,
    },
    /// An entry, a path or an attribute is larger than allowed.
    #[error("`{entry}` has {size} {what}, more than the {limit} allowed")]
    TooLarge {
        /// The entry.
        entry: String,
        /// Of what: `bytes`, `bytes of attributes`.
        what: &'static str,
        /// As announced.
        size: u64,
        /// The most allowed.
        limit: u64,
    },
    /// More entries than allowed; headers that belong to entries count too.
    #[error("the archive has more than {limit} entries")]
    Entries {
        /// The most allowed.
        limit: u64,
    },
    /// What the archive is read from failed.
    #[error("the archive cannot be read")]
    Read {
        /// Why not.
        #[source]
        source: Arc<io::Error>,
    },
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        Self::Read { source: Arc::new(error) }
    }
}
