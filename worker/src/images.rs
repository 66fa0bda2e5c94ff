//! Where the root directories of steps in images come from.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use cullet_digest::Digest;

use crate::{EngineUpper, ImageProgram, ImageRoot, LocalFiles, RootUpper};

/// Finds images, fetched and unpacked as needed. Asked for each attempt, many at a time.
#[async_trait]
pub trait ImageRoots: fmt::Debug + Send + Sync {
    /// The image whose manifest has this digest: `sha256:` and 64 lower-case hexadecimal digits. `reference` says where it
    /// can be had, if whoever asks knows. Dropping the future gives it up.
    ///
    /// # Errors
    /// It cannot be had, or not as a root directory for steps here.
    async fn root(&self, manifest: &str, reference: Option<&str>) -> Result<HeldRoot, ImageFault>;

    /// A layer that a step left of its root, as [`Self::capture`] wrote it, for above an image of [`Self::root`] whose
    /// [`ImageRoot::ranged`] this is. Its archive is a blob of `files`. Dropping the future gives it up.
    ///
    /// # Errors
    /// The blob is lost, or it cannot be had as a directory here.
    async fn layer(
        &self,
        _layer: &Digest,
        _ranged: Option<(u32, u32)>,
        _files: Arc<dyn LocalFiles>,
    ) -> Result<HeldLayer, LayerFault> {
        Err(LayerFault::Machine(NO_ROOTS.into()))
    }

    /// The image with layers of [`Self::layer`] above it, the lowest first and each once, for a container engine that has the
    /// image; manifest and reference are those of [`Self::root`]. Dropping the future gives it up.
    ///
    /// # Errors
    /// Blobs are lost, or the engine cannot have it.
    async fn above(
        &self,
        (_manifest, _reference): (&str, Option<&str>),
        _layers: &[Digest],
        _files: Arc<dyn LocalFiles>,
    ) -> Result<HeldRoot, AboveFault> {
        Err(AboveFault::Machine(NO_ROOTS.into()))
    }

    /// Writes what a step changed of its root as a layer to a new file: the same bytes for the same changes, on every
    /// machine. Blocks.
    ///
    /// # Errors
    /// It can be no layer, or not be written.
    fn capture(&self, _upper: &RootUpper, _to: &Path) -> Result<(), CaptureFault> {
        Err(CaptureFault::Machine(NO_ROOTS.into()))
    }

    /// The same for a step in a container engine, with the same bytes. Blocks.
    ///
    /// # Errors
    /// As [`Self::capture`].
    fn capture_engine(&self, _upper: &EngineUpper, _to: &Path) -> Result<(), CaptureFault> {
        Err(CaptureFault::Machine(NO_ROOTS.into()))
    }
}

/// Of those that do not.
const NO_ROOTS: &str = "this worker keeps no root directories of steps";

/// A layer that stays where it is while this lives.
pub struct HeldLayer {
    /// A lower directory for overlayfs; never written to.
    pub tree: PathBuf,
    /// Whatever keeps it from being removed.
    pub hold: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for HeldLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLayer").field("tree", &self.tree).finish_non_exhaustive()
    }
}

/// Why a layer of a step's root cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LayerFault {
    /// Its archive is nowhere any more: whoever made it has to make it again.
    #[error("a layer of the step's root is no longer in the cache")]
    Lost,
    /// This machine.
    #[error("a layer of the step's root cannot be had")]
    Machine(#[source] Box<dyn Error + Send + Sync>),
}

/// Why an engine has no image with layers above it.
#[derive(Debug, thiserror::Error)]
pub enum AboveFault {
    /// Archives of these layers are nowhere any more.
    #[error("{} layer(s) of the step's root are no longer in the cache", .0.len())]
    Lost(Vec<Digest>),
    /// This machine, or the engine.
    #[error("layers of the step's root cannot be put above its image")]
    Machine(#[source] Box<dyn Error + Send + Sync>),
}

/// Why a root is not kept.
#[derive(Debug, thiserror::Error)]
pub enum CaptureFault {
    /// The step's own fault: nothing can hold what it left.
    #[error("{0}")]
    Step(String),
    /// This machine.
    #[error("the step's root cannot be kept")]
    Machine(#[source] Box<dyn Error + Send + Sync>),
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
pub struct ImageFault {
    /// Whether another try would find the same, here or elsewhere, until somebody changes something.
    pub permanent: bool,
    /// Why not.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

impl ImageFault {
    /// One that another try may find gone.
    pub fn passing(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { permanent: false, source: source.into() }
    }

    /// One that stays.
    pub fn permanent(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { permanent: true, source: source.into() }
    }
}

/// For workers that have no images: steps that need one are not run.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoImages;

#[async_trait]
impl ImageRoots for NoImages {
    async fn root(&self, manifest: &str, _: Option<&str>) -> Result<HeldRoot, ImageFault> {
        Err(ImageFault::passing(format!("this worker runs no steps in images, and {manifest} is one")))
    }
}
