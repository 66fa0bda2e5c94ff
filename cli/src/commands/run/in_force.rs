//! The images of steps, where the executor that is in force looks for them.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use cullet_digest::Digest;
use cullet_worker::{
    CaptureFault, HeldLayer, HeldRoot, ImageFault, ImageRoots, LayerFault, LocalFiles, RootUpper,
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

    async fn layer(&self, layer: &Digest, files: Arc<dyn LocalFiles>) -> Result<HeldLayer, LayerFault> {
        self.images.layer(layer, files).await
    }

    fn capture(&self, upper: &RootUpper, to: &Path) -> Result<(), CaptureFault> {
        self.images.capture(upper, to)
    }
}
