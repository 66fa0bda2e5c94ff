//! Layers that steps left above images, in a container engine. It knows layers by other digests than the cache does: what
//! those are is read from their archives once.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cullet_cache::StoreError;
use cullet_digest::Digest;
use cullet_image::{EngineExport, ExportLayer, ImageConfig, Platform, Store};
use cullet_worker::docker::Engine;
use cullet_worker::{AboveFault, HeldRoot, ImageFault, LocalFiles};
use tempfile::TempPath;
use tokio_util::io::SyncIoBridge;

use super::fetch::Fetcher;
use super::in_engine::{PIPE_BYTES, described};
use super::wanted::{Wanted, unknown};

/// Where it is noted what engines call layers, beside the notes about images.
pub(super) const NOTES: &str = "engine-layers";

/// For names of files: an attempt may want the same layer as another.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A layer, and its archive for as long as it is wanted.
struct Made {
    layer: ExportLayer,
    _file: TempPath,
}

impl Fetcher {
    /// The image with these layers above it in an engine that has the image, put there if it is not.
    ///
    /// # Errors
    /// A layer is lost, or the engine fails.
    pub(super) async fn above(
        &self,
        wanted: &Wanted,
        engine: &Engine,
        layers: &[Digest],
        files: Arc<dyn LocalFiles>,
    ) -> Result<HeldRoot, AboveFault> {
        let store = self.store().await.map_err(machine)?;
        let config = store.configuration(&wanted.digest, &Platform::host()).await;
        let config = config.map_err(|error| machine(self.failure(error)))?;
        let config = config.ok_or_else(|| machine(unknown(&wanted.digest.to_string())))?;
        let noted: Option<Vec<_>> = layers.iter().map(|layer| self.noted(layer)).collect();
        if let Some(ids) = noted
            && let Some(root) = self.known_above(engine, &config, &ids).await?
        {
            return Ok(root);
        }
        let made = self.archives(layers, files).await?;
        let ids: Vec<_> = made.iter().map(|made| made.layer.diff_id).collect();
        let _one_at_a_time = self.engines.loading.lock().await;
        // Whoever held the lock may have put it there.
        if let Some(root) = self.known_above(engine, &config, &ids).await? {
            return Ok(root);
        }
        let exports: Vec<ExportLayer> = made.iter().map(|made| made.layer.clone()).collect();
        if let Some(root) = self.add_above(store, engine, &config, &exports).await? {
            return Ok(root);
        }
        // Not all engines take a part for the whole.
        self.load(wanted, store, engine, &exports).await.map_err(machine)
    }

    async fn known_above(
        &self,
        engine: &Engine,
        config: &ImageConfig,
        ids: &[cullet_image::Digest],
    ) -> Result<Option<HeldRoot>, AboveFault> {
        let (_, image) = described(config, ids);
        let id = engine.image(&image).await.map_err(|error| machine(ImageFault::passing(error)))?;
        Ok(id.map(|id| self.root_in_engine(&image, id, config)))
    }

    /// Hands over what the engine lacks, and no more; none where that is not enough for it.
    async fn add_above(
        &self,
        store: &Store,
        engine: &Engine,
        config: &ImageConfig,
        layers: &[ExportLayer],
    ) -> Result<Option<HeldRoot>, AboveFault> {
        let ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
        let mut missing = None;
        for there in (0..layers.len()).rev() {
            if self.known_above(engine, config, &ids[..there]).await?.is_some() {
                missing = Some(layers[there..].to_vec());
                break;
            }
        }
        let Some(missing) = missing else { return Ok(None) };
        let export = EngineExport::above(config, &ids);
        let (reader, writer) = tokio::io::duplex(PIPE_BYTES);
        let written = store.export_above(None, missing, &export, SyncIoBridge::new(writer));
        let (written, loaded) = futures_util::future::join(written, engine.load(reader)).await;
        if let Err(error) = self.outcome(written, loaded) {
            tracing::debug!(error = %cullet_coordinator::resolve::describe(&*error.source), "an engine takes no part of an image");
        }
        self.known_above(engine, config, &ids).await
    }

    /// The archives of layers, as files beside others that are on their way, and what engines call them. All that are lost
    /// are named at once.
    async fn archives(&self, layers: &[Digest], files: Arc<dyn LocalFiles>) -> Result<Vec<Made>, AboveFault> {
        let (dir, notes) = (self.dir.join("partial"), self.dir.join(NOTES));
        let noted: Vec<_> = layers.iter().map(|layer| (*layer, self.noted(layer))).collect();
        let found = tokio::task::spawn_blocking(move || {
            let (mut made, mut lost) = (Vec::new(), Vec::new());
            for (layer, known) in noted {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let path = dir.join(format!("made-{}-{}-{number}", layer.hash_hex(), std::process::id()));
                // Of a process that had the same number.
                drop(fs::remove_file(&path));
                match files.link_to(&layer, false, &path) {
                    Ok(()) => made.push(Made::at(path, known)?),
                    Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => lost.push(layer),
                    Err(error) => return Err(machine(ImageFault::passing(error))),
                }
                if let Some(one) = made.last().filter(|_| known.is_none() && lost.is_empty()) {
                    note(&notes, &layer, &one.layer.diff_id);
                }
            }
            if lost.is_empty() { Ok(made) } else { Err(AboveFault::Lost(lost)) }
        });
        found.await.map_err(|error| machine(ImageFault::passing(error)))?
    }

    fn noted(&self, layer: &Digest) -> Option<cullet_image::Digest> {
        fs::read_to_string(self.dir.join(NOTES).join(layer.hash_hex())).ok()?.parse().ok()
    }
}

impl Made {
    /// Blocks where nobody knows the digest yet.
    fn at(path: PathBuf, known: Option<cullet_image::Digest>) -> Result<Self, AboveFault> {
        let read = |path: &PathBuf| fs::File::open(path).and_then(cullet_image::Digest::read);
        let diff_id = match known {
            Some(known) => Ok(known),
            None => read(&path),
        };
        let diff_id = diff_id.map_err(|error| machine(ImageFault::passing(error)))?;
        let file = TempPath::try_from_path(&path).map_err(|error| machine(ImageFault::passing(error)))?;
        Ok(Self { layer: ExportLayer { diff_id, file: path }, _file: file })
    }
}

/// Without it, the archive is read once more.
fn note(dir: &std::path::Path, layer: &Digest, diff_id: &cullet_image::Digest) {
    let name = layer.hash_hex();
    let draft = dir.join(format!("{name}.{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let noted = fs::create_dir_all(dir)
        .and_then(|()| fs::write(&draft, diff_id.to_string()))
        .and_then(|()| fs::rename(&draft, dir.join(name)));
    if let Err(error) = noted {
        tracing::debug!(%error, "what an engine calls a layer is not noted");
    }
}

fn machine(fault: ImageFault) -> AboveFault {
    AboveFault::Machine(fault.source)
}
