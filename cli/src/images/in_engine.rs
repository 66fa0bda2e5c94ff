//! Images in a container engine, which keeps layers of its own: put there once, and removed when others need the room.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use cullet_image::{EngineExport, ImageConfig, ImageError, Platform, Store};
use cullet_worker::docker::{Engine, EngineError, EngineImage};
use cullet_worker::{HeldRoot, ImageFault, ImageProgram, ImageRoot};
use tokio_util::io::SyncIoBridge;

use super::fetch::{Fetcher, Wanted, resolved, unknown};
use super::telling::Telling;

/// What has to do with engines.
#[derive(Debug, Default)]
pub(super) struct Engines {
    /// The one that images were asked of.
    used: OnceLock<Engine>,
    /// Held by whoever puts an image there: side by side, all would take longer.
    loading: tokio::sync::Mutex<()>,
    /// What could not be removed is said once.
    quiet: Mutex<bool>,
}

/// The engine took the image and does not have it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the Docker engine took the image and does not have it as it should be: it lacks layers, or has others"
)]
struct Vanished;

/// What is on its way between a thread and the engine.
const PIPE_BYTES: usize = 1 << 20;

/// Names of images in engines are also names of files here, whose time is that of the last use.
const NOTES: &str = "engine";

/// How long an image stays that was asked for: another process may be about to make a container of it.
const RECENT: Duration = Duration::from_secs(10 * 60);

impl Fetcher {
    /// The image in an engine, put there if it is not.
    ///
    /// # Errors
    /// It cannot be had, or the engine fails.
    pub(super) async fn in_engine(&self, wanted: &Wanted, engine: &Engine) -> Result<HeldRoot, ImageFault> {
        let _ = self.engines.used.set(engine.clone());
        let store = self.store().await?;
        let known = store.configuration(&wanted.digest, &Platform::host()).await;
        let known = known.map_err(|error| self.failure(error))?;
        if let Some(config) = known {
            let (_, image) = described(&config);
            if let Some(id) = engine.image(&image).await.map_err(ImageFault::passing)? {
                return Ok(self.root_in_engine(&image, id, &config));
            }
        }
        let _one_at_a_time = self.engines.loading.lock().await;
        self.load(wanted, store, engine).await
    }

    fn root_in_engine(&self, image: &EngineImage, id: String, config: &ImageConfig) -> HeldRoot {
        used_now(&self.dir, &image.name);
        let root = ImageRoot {
            env: config.env.clone(),
            user: config.user.clone().unwrap_or_default(),
            in_engine: Some(id),
            ..ImageRoot::default()
        };
        // Services, which alone need it, are refused there.
        HeldRoot { root, program: ImageProgram::default(), hold: Box::new(()) }
    }

    async fn load(&self, wanted: &Wanted, store: &Store, engine: &Engine) -> Result<HeldRoot, ImageFault> {
        let registries = self.registries().map_err(ImageFault::passing)?;
        let mut last = None;
        for (name, reference) in &wanted.references {
            let mut telling = Telling::of(name, &self.watchers);
            let image = match resolved(wanted, reference, &registries, &mut telling).await {
                Ok(image) => image,
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            let (export, known) = described(&image.config);
            // Whoever held the lock may have put it there.
            if let Some(id) = engine.image(&known).await.map_err(ImageFault::passing)? {
                store.keep_documents(&image).await.map_err(|error| self.failure(error))?;
                return Ok(self.root_in_engine(&known, id, &image.config));
            }
            telling.begins(store.progress(&image));
            let (reader, writer) = tokio::io::duplex(PIPE_BYTES);
            let writer = SyncIoBridge::new(writer);
            let both = futures_util::future::join(store.export(&image, &export, writer), engine.load(reader));
            let (exported, loaded) = telling.during(both, Some((store, &image))).await;
            self.outcome(exported, loaded)?;
            store.keep_documents(&image).await.map_err(|error| self.failure(error))?;
            let id = engine
                .image(&known)
                .await
                .map_err(ImageFault::passing)?
                .ok_or_else(|| ImageFault::passing(Vanished))?;
            return Ok(self.root_in_engine(&known, id, &image.config));
        }
        Err(last.map_or_else(|| unknown(&wanted.digest.to_string()), |error| self.failure(error)))
    }

    /// Which of two failures is the cause: an engine that takes no more is why the rest cannot be written, and an archive
    /// that ends early is why the engine does not take it.
    fn outcome(
        &self,
        exported: Result<(), ImageError>,
        loaded: Result<(), EngineError>,
    ) -> Result<(), ImageFault> {
        match (exported, loaded) {
            (Ok(()), loaded) => loaded.map_err(ImageFault::passing),
            (Err(error), Err(broken)) if is_broken_pipe(&error) => Err(ImageFault::passing(broken)),
            (Err(error), _) => Err(self.failure(error)),
        }
    }
}

fn is_broken_pipe(error: &ImageError) -> bool {
    matches!(error, ImageError::Io { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
}

fn described(config: &ImageConfig) -> (EngineExport, EngineImage) {
    let export = EngineExport::of(config);
    let diff_ids = export.diff_ids.iter().map(ToString::to_string).collect();
    let image = EngineImage { name: export.name.clone(), diff_ids };
    (export, image)
}

/// Where it is noted when an image was last used; `name` ends in the digest of a configuration.
fn note(dir: &Path, name: &str) -> Option<PathBuf> {
    let hex = name.rsplit(':').next()?;
    let is_digest = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| dir.join(NOTES).join(hex))
}

fn used_now(dir: &Path, name: &str) {
    let Some(note) = note(dir, name) else { return };
    let noted = fs::create_dir_all(dir.join(NOTES))
        .and_then(|()| File::options().create(true).append(true).open(note))
        .and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = noted {
        // It stays in the engine for longer than it need be.
        tracing::debug!(name, %error, "the last use of an image is not noted");
    }
}

impl Engines {
    /// Brings the images that are in the engine because of this cache below `bound` bytes, as far as nobody uses them; those
    /// that were not used for longest go first. What fails is tried again by the next; blocks.
    pub(super) fn settle(&self, dir: &Path, bound: u64) {
        let Some(engine) = self.used.get() else { return };
        let settled = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())
            .and_then(|runtime| {
                runtime.block_on(evict(engine, dir, bound)).map_err(|error| error.to_string())
            });
        if let Err(error) = settled {
            let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
            if !std::mem::replace(&mut *quiet, true) {
                tracing::warn!(error, "images are not removed from the Docker engine");
            }
        }
    }
}

async fn evict(engine: &Engine, dir: &Path, bound: u64) -> Result<(), EngineError> {
    let mut ours: Vec<(SystemTime, String, u64)> = Vec::new();
    for (name, size) in engine.images().await? {
        let noted =
            note(dir, &name).and_then(|note| fs::metadata(note).and_then(|found| found.modified()).ok());
        ours.extend(noted.map(|used| (used, name, size)));
    }
    ours.sort();
    // Layers that several images have count for each: more goes than has to.
    let mut bytes: u64 = ours.iter().map(|(.., size)| size).sum();
    for (used, name, size) in ours {
        let is_recent = used.elapsed().map_or(true, |age| age < RECENT);
        if bytes <= bound || is_recent {
            break;
        }
        if engine.remove_image(&name).await? {
            bytes = bytes.saturating_sub(size);
            if let Some(note) = note(dir, &name) {
                // Without the image it says nothing.
                let _ = fs::remove_file(note);
            }
        }
    }
    Ok(())
}
