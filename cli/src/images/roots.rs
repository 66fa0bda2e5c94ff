//! Images as root directories of the steps of one run on this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use cullet_coordinator::images::Images;
use cullet_digest::Digest;
use cullet_image::{ImageError, Reference};
use cullet_worker::docker::Engine;
use cullet_worker::{
    AboveFault, CaptureFault, EngineUpper, HeldLayer, HeldRoot, ImageFault, ImageRoots, LayerFault,
    LocalFiles, RootUpper,
};

use super::export::Exporter;
use super::fetch::Fetcher;
use super::layers::{capture, capture_engine};
use super::wanted::{Wanted, unknown};
use crate::commands::run::watchers::Watchers;
use crate::config::Config;

/// The images of one run.
#[derive(Debug)]
pub(crate) struct LocalImages {
    fetcher: Fetcher,
    /// By the digest of the manifest. Files and directories in it are absolute, registries are asked for the digest.
    wanted: BTreeMap<String, Wanted>,
}

impl LocalImages {
    /// `base` is what files and directories are relative to. Nothing is looked at yet.
    pub(crate) fn of(images: &Images, config: &Config, base: &Path) -> Self {
        let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
        for (reference, digest) in images.iter() {
            // Both were read before, or they would not be here.
            let (Ok(name), Ok(pinned)) =
                (reference.parse::<Reference>(), digest.parse::<cullet_image::Digest>())
            else {
                continue;
            };
            let entry = wanted.entry(digest.to_owned()).or_insert_with(|| Wanted::new(pinned));
            entry.is_at(reference.to_owned(), name.relative_to(base));
        }
        Self { fetcher: Fetcher::new(config), wanted }
    }

    /// With somebody who is told of images on their way.
    pub(crate) fn watched_by(mut self, watchers: Watchers) -> Self {
        self.fetcher.watchers = watchers;
        self
    }

    /// What makes images of what its steps leave. `base` is what files and directories are relative to.
    pub(crate) fn exporter(&self, base: &Path) -> Exporter {
        Exporter::beside(&self.fetcher, base)
    }

    /// The image in an engine, put there if it is not.
    ///
    /// # Errors
    /// It cannot be had, or the engine fails.
    pub(crate) async fn in_engine(&self, manifest: &str, engine: &Engine) -> Result<HeldRoot, ImageFault> {
        let wanted = self.wanted.get(manifest).ok_or_else(|| unknown(manifest))?;
        self.fetcher.in_engine(wanted, engine).await
    }

    /// The image with layers above it in an engine, put there if it is not.
    ///
    /// # Errors
    /// Layers are lost, or the engine fails.
    pub(crate) async fn above_in_engine(
        &self,
        (manifest, layers): (&str, &[Digest]),
        engine: &Engine,
        files: Arc<dyn LocalFiles>,
    ) -> Result<HeldRoot, AboveFault> {
        let wanted =
            self.wanted.get(manifest).ok_or_else(|| AboveFault::Machine(unknown(manifest).source))?;
        self.fetcher.above(wanted, engine, layers, files).await
    }

    /// Brings the images below `bound` bytes, if any were used; blocks.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(crate) fn settle(&self, bound: u64) -> Result<(), ImageError> {
        self.fetcher.settle(bound)
    }
}

#[async_trait]
impl ImageRoots for LocalImages {
    async fn root(&self, manifest: &str, _: Option<&str>) -> Result<HeldRoot, ImageFault> {
        let wanted = self.wanted.get(manifest).ok_or_else(|| unknown(manifest))?;
        self.fetcher.root(wanted).await
    }

    async fn layer(
        &self,
        layer: &Digest,
        ranged: Option<(u32, u32)>,
        files: Arc<dyn LocalFiles>,
    ) -> Result<HeldLayer, LayerFault> {
        self.fetcher.made_layer(layer, ranged, files).await
    }

    fn capture(&self, upper: &RootUpper, to: &Path) -> Result<(), CaptureFault> {
        capture(upper, to)
    }

    fn capture_engine(&self, upper: &EngineUpper, to: &Path) -> Result<(), CaptureFault> {
        capture_engine(upper, to)
    }
}
