//! Where the root directories of steps in images come from.

use std::any::Any;
use std::error::Error;
use std::fmt;

use async_trait::async_trait;

use crate::{ImageProgram, ImageRoot};

/// Finds images, fetched and unpacked as needed. Asked for each attempt, many at a time.
#[async_trait]
pub trait ImageRoots: fmt::Debug + Send + Sync {
    /// The image whose manifest has this digest: `sha256:` and 64 lower-case hexadecimal digits. `reference` says where it
    /// can be had, if whoever asks knows. Dropping the future gives it up.
    ///
    /// # Errors
    /// It cannot be had, or not as a root directory for steps here.
    async fn root(&self, manifest: &str, reference: Option<&str>) -> Result<HeldRoot, ImageFault>;
}

/// An image that stays where it is while this lives.
pub struct HeldRoot {
    /// The image.
    pub root: ImageRoot,
    /// What a service in it runs where nobody says anything else.
    pub program: ImageProgram,
    /// Whatever keeps it from being removed.
    pub hold: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for HeldRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldRoot").field("root", &self.root).finish_non_exhaustive()
    }
}

/// Why a step has no root directory.
#[derive(Debug, thiserror::Error)]
#[error("the step's image cannot be had")]
pub struct ImageFault(#[source] pub Box<dyn Error + Send + Sync>);

/// For workers that have no images: steps that need one are not run.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoImages;

#[async_trait]
impl ImageRoots for NoImages {
    async fn root(&self, manifest: &str, _: Option<&str>) -> Result<HeldRoot, ImageFault> {
        Err(ImageFault(format!("this worker runs no steps in images, and {manifest} is one").into()))
    }
}
