//! What can be wrong with a volume.

use std::io;
use std::path::{Path, PathBuf};

/// Why a step has no volume, or why what it wrote is not kept.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The operating system said no.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What could not be done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is on the disk is not what was written.
    #[error("{} is damaged", .0.display())]
    Damaged(PathBuf),
    /// Others have it for longer than anybody waits.
    #[error("others are at it for longer than {0} s")]
    Busy(u64),
    /// It has grown too large.
    #[error("it would take more than the {0} bytes that a volume may have")]
    TooLarge(u64),
    /// A value that nobody else may see.
    #[error("'{path}' has the value of the secret {secret} in it")]
    Secret {
        /// Where, below the volume. A name may be what has it: to be masked.
        path: String,
        /// The name of the secret.
        secret: String,
    },
    /// It could not be mounted.
    #[error("it could not be mounted: {0}")]
    Unmounted(String),
    /// What a step wrote could not be had.
    #[error("it could not be taken from the step's container: {0}")]
    Lost(String),
}

impl VolumeError {
    /// For `map_err`.
    pub(crate) fn io<E: Into<io::Error>>(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(E) -> Self + use<E> {
        let path = path.to_owned();
        move |error| Self::Io { action, path, source: error.into() }
    }
}
