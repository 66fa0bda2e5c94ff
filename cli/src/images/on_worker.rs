//! Images as root directories of the steps that a cluster gives to a worker.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use cullet_digest::Digest;
use cullet_image::{ImageError, Reference};
use cullet_worker::docker::Engine;
use cullet_worker::{
    AboveFault, CaptureFault, EngineUpper, HeldLayer, HeldRoot, ImageFault, ImageRoots, LayerFault,
    LocalFiles, RootUpper,
};

use super::fetch::Fetcher;
use super::layers::{capture, capture_engine};
use super::wanted::{Wanted, unknown};
use crate::config::Config;

/// The images of a worker, which learns with each step where that one's can be had.
#[derive(Debug)]
pub(crate) struct WorkerImages {
    fetcher: Fetcher,
    /// Where steps run in containers.
    engine: OnceLock<Engine>,
    /// By digest and reference, while attempts wait for them: no more than attempts run at once.
    wanted: Mutex<HashMap<Name, Arc<Wanted>>>,
}

/// The digest of a manifest, and where that can be had, if a coordinator said it.
type Name = (String, Option<String>);

/// A coordinator names an image that no worker can have.
#[derive(Debug, thiserror::Error)]
#[error("the image {0} is a file of another machine: push it to a registry")]
struct Elsewhere(String);

impl WorkerImages {
    /// Nothing is looked at yet.
    pub(crate) fn new(config: &Config) -> Self {
        Self { fetcher: Fetcher::new(config), engine: OnceLock::new(), wanted: Mutex::default() }
    }

    /// From here on images are put into this engine. The first one counts.
    pub(crate) fn are_in(&self, engine: Engine) {
        let _ = self.engine.set(engine);
    }

    /// Brings the images below `bound` bytes, as far as no step is in one, and says whether any went; blocks.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(crate) fn evict(&self, bound: u64) -> Result<bool, ImageError> {
        self.fetcher.engines.settle(self.fetcher.dir.as_path(), bound);
        self.fetcher.evict(bound)
    }

    /// Removes what an earlier worker left half done when it was killed. Parts of blobs stay for a day: whoever wants that
    /// image again goes on with them. Blocks.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(crate) fn clean(&self) -> Result<(), ImageError> {
        self.fetcher.clean().map(drop)
    }

    /// One for all who want the same one now.
    fn wanted(&self, manifest: &str, reference: Option<&str>) -> Result<Arc<Wanted>, ImageFault> {
        let digest = manifest.parse().map_err(|_| unknown(manifest))?;
        let place = reference.map(str::parse::<Reference>).transpose().map_err(ImageFault::permanent)?;
        if let (Some(text), Some(Reference::Layout { .. } | Reference::Archive { .. })) = (reference, &place)
        {
            return Err(ImageFault::permanent(Elsewhere(text.to_owned())));
        }
        let mut all = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, wanted| Arc::strong_count(wanted) > 1);
        let entry = all.entry((manifest.to_owned(), reference.map(str::to_owned)));
        let wanted = entry.or_insert_with(|| {
            let mut wanted = Wanted::new(digest);
            if let (Some(text), Some(place)) = (reference, place) {
                // Files are refused above.
                wanted.is_at(text.to_owned(), place.relative_to(Path::new("")));
            }
            Arc::new(wanted)
        });
        Ok(Arc::clone(wanted))
    }
}

#[async_trait]
impl ImageRoots for WorkerImages {
    async fn root(&self, manifest: &str, reference: Option<&str>) -> Result<HeldRoot, ImageFault> {
        // A coordinator that names none is of another version than this worker. What is here already can be had all the same.
        let wanted = self.wanted(manifest, reference)?;
        let began = Instant::now();
        let root = match self.engine.get() {
            Some(engine) => self.fetcher.in_engine(&wanted, engine).await,
            None => self.fetcher.root(&wanted).await,
        };
        let took_ms = began.elapsed().as_millis();
        match &root {
            Ok(_) if took_ms < WORTH_TELLING_MS => {}
            Ok(_) => tracing::info!(image = reference, manifest, took_ms, "an image is here"),
            Err(error) => {
                let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
                tracing::warn!(image = reference, manifest, took_ms, why, "an image cannot be had");
            }
        }
        root
    }

    async fn layer(
        &self,
        layer: &Digest,
        ranged: Option<(u32, u32)>,
        files: Arc<dyn LocalFiles>,
    ) -> Result<HeldLayer, LayerFault> {
        self.fetcher.made_layer(layer, ranged, files).await
    }

    async fn above(
        &self,
        (manifest, reference): (&str, Option<&str>),
        layers: &[Digest],
        files: Arc<dyn LocalFiles>,
    ) -> Result<HeldRoot, AboveFault> {
        let machine = |fault: ImageFault| AboveFault::Machine(fault.source);
        let engine = self.engine.get().ok_or_else(|| machine(unknown(manifest)))?;
        let wanted = self.wanted(manifest, reference).map_err(machine)?;
        self.fetcher.above(&wanted, engine, layers, files).await
    }

    fn capture(&self, upper: &RootUpper, to: &Path) -> Result<(), CaptureFault> {
        capture(upper, to)
    }

    fn capture_engine(&self, upper: &EngineUpper, to: &Path) -> Result<(), CaptureFault> {
        capture_engine(upper, to)
    }
}

/// What is there already takes less.
const WORTH_TELLING_MS: u128 = 500;

#[cfg(test)]
mod tests {
    use cullet_image::layer::WriteOptions;
    use cullet_image::{ImageConfig, LayoutWriter, Platform, Registries, RegistryOptions, resolve};

    use super::*;

    #[tokio::test]
    async fn an_image_whose_place_nobody_says_can_be_had_where_it_is_here() {
        let dir = tempfile::tempdir().unwrap();
        let variable = |name: &str| (name == "CULLET_CACHE_DIR").then(|| dir.path().display().to_string());
        let config = Config::from_sources(&crate::args::GlobalArgs::default(), &variable).unwrap();
        let writer = LayoutWriter::new(&dir.path().join("app")).unwrap();
        let tree = tempfile::tempdir().unwrap();
        let (layer, _) = writer.add_layer(tree.path(), &WriteOptions::default()).unwrap();
        let json = format!(
            r#"{{"os":"linux","architecture":"{}","rootfs":{{"type":"layers","diff_ids":[]}}}}"#,
            Platform::host().architecture
        );
        let app = ImageConfig::read(json.as_bytes(), "test").unwrap();
        let manifest = writer.add_image(&app, &[layer], None).unwrap().digest.to_string();

        let images = WorkerImages::new(&config);
        let fault = images.root(&manifest, None).await.unwrap_err();
        assert!(fault.permanent && fault.source.to_string().starts_with("nobody said where"), "{fault:?}");
        let elsewhere = images.root(&manifest, Some("oci-layout:app")).await.unwrap_err();
        assert!(elsewhere.permanent && elsewhere.source.to_string().contains("push it to a registry"));
        let reference = format!("oci-layout:{}", dir.path().join("app").display()).parse().unwrap();
        let registries = Registries::new(RegistryOptions::default()).unwrap();
        let found = resolve(&reference, &Platform::host(), &registries).await.unwrap();
        drop(images.fetcher.store().await.unwrap().take(&found).await.unwrap());
        assert_eq!(images.root(&manifest, None).await.unwrap().root.layers.len(), 1);
    }
}
