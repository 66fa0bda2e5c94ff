//! Images that cannot be had, as errors of steps.

use std::path::PathBuf;

use cullet_image::{Digest, ImageError};

/// Why an image cannot be the root directory of a step.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum RootError {
    /// It cannot be had.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The key is of another image than the one that is there now.
    #[error(
        "{reference} is the image {found} now, and the run was to have {pinned}, which has to be the digest of the manifest \
         for this platform; `cullet lock --update` takes the one that is there"
    )]
    Changed { reference: String, pinned: Digest, found: Digest },
    /// The disk with the images is full.
    #[error(
        "no space left for images in {}: free some (`cullet cache gc --to SIZE` removes what no step uses), or move the cache \
         (CULLET_CACHE_DIR, or --data of a worker)", .dir.display()
    )]
    NoSpace { dir: PathBuf, source: ImageError },
    /// Nobody said where it is.
    #[error(
        "nobody said where the image {0} can be had: on a cluster, bring coordinators and workers to one version of the program"
    )]
    Unknown(String),
}

impl RootError {
    /// Whether it stays so until somebody changes something.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::Image(error) => error.is_permanent(),
            Self::Changed { .. } | Self::Unknown(_) => true,
            Self::NoSpace { .. } => false,
        }
    }
}
