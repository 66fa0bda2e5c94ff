//! The images of steps, where the executor that is in force looks for them.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use cullet_digest::Digest;
use cullet_worker::{
    AboveFault, CaptureFault, EngineUpper, HeldLayer, HeldRoot, ImageFault, ImageRoots, LayerFault,
    LocalFiles, RootUpper,
};

use super::lazy_executor::LazyExecutor;
use crate::config::Executor;
use crate::images::LocalImages;

/// See the module.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) choice: Executor,
    pub(super) executor: Arc<LazyExecutor>,
    pub(super) images: Arc<LocalImages>,
}

#[async_trait]
impl ImageRoots for InForce {
    async fn root(&self, manifest: &str, reference: Option<&str>) -> Result<HeldRoot, ImageFault> {
        let engine = match self.choice {
            Executor::Sandbox | Executor::Plain => Ok(None),
            Executor::Auto | Executor::Docker => self.executor.engine().await,
        };
        match engine {
            Ok(Some(engine)) => self.images.in_engine(manifest, engine).await,
            Err(error) if self.choice == Executor::Docker => Err(ImageFault::passing(error)),
            // That there is no sandbox either is said when the step is to be executed.
            Ok(None) | Err(_) => self.images.root(manifest, reference).await,
        }
    }

    async fn layer(
        &self,
        layer: &Digest,
        ranged: Option<(u32, u32)>,
        files: Arc<dyn LocalFiles>,
    ) -> Result<HeldLayer, LayerFault> {
        self.images.layer(layer, ranged, files).await
    }

    async fn above(
        &self,
        (manifest, _): (&str, Option<&str>),
        layers: &[Digest],
        files: Arc<dyn LocalFiles>,
    ) -> Result<HeldRoot, AboveFault> {
        match self.executor.engine().await {
            Ok(Some(engine)) => self.images.above_in_engine((manifest, layers), engine, files).await,
            // Whoever asks has an image in an engine.
            Ok(None) => Err(AboveFault::Machine("no Docker engine runs the steps here".into())),
            Err(error) => Err(AboveFault::Machine(Box::new(error))),
        }
    }

    fn capture(&self, upper: &RootUpper, to: &Path) -> Result<(), CaptureFault> {
        self.images.capture(upper, to)
    }

    fn capture_engine(&self, upper: &EngineUpper, to: &Path) -> Result<(), CaptureFault> {
        self.images.capture_engine(upper, to)
    }
}
