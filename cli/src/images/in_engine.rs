//! Images in a container engine, which keeps layers of its own: put there once, and removed when others need the room.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use cullet_image::{Digest, EngineExport, ExportLayer, ImageConfig, ImageError, Platform, Store};
use cullet_worker::docker::{Engine, EngineError, EngineImage};
use cullet_worker::{HeldRoot, ImageFault, ImageRoot};
use tokio_util::io::SyncIoBridge;

use super::fetch::{Fetcher, program, resolved};
use super::telling::Telling;
use super::wanted::{Wanted, unknown};

/// What has to do with engines.
#[derive(Debug, Default)]
pub(super) struct Engines {
    /// The one that images were asked of.
    used: OnceLock<Engine>,
    /// Held by whoever puts an image there: side by side, all would take longer.
    pub(super) loading: tokio::sync::Mutex<()>,
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
pub(super) const PIPE_BYTES: usize = 1 << 20;

/// Names of images in engines are also names of files here, whose time is that of the last use.
const NOTES: &str = "engine";

/// Where users of images are noted, in the directory of images.
pub(crate) const ENGINE_USERS: &str = "engine-users";

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
            let (_, image) = described(&config, &[]);
            if let Some(id) = engine.image(&image).await.map_err(ImageFault::passing)? {
                return Ok(self.root_in_engine(&image, id, &config));
            }
        }
        let _one_at_a_time = self.engines.loading.lock().await;
        self.load(wanted, store, engine, &[]).await
    }

    pub(super) fn root_in_engine(&self, image: &EngineImage, id: String, config: &ImageConfig) -> HeldRoot {
        used_now(&self.dir, &image.name);
        let root = ImageRoot {
            env: config.env.clone(),
            user: config.user.clone().unwrap_or_default(),
            in_engine: Some(id),
            ..ImageRoot::default()
        };
        HeldRoot { root, program: program(config), hold: Box::new(()) }
    }

    /// Puts it there, with these layers above it.
    pub(super) async fn load(
        &self,
        wanted: &Wanted,
        store: &Store,
        engine: &Engine,
        above: &[ExportLayer],
    ) -> Result<HeldRoot, ImageFault> {
        let above_ids: Vec<Digest> = above.iter().map(|layer| layer.diff_id).collect();
        let registries = self.registries().map_err(ImageFault::passing)?;
        let mut last = None;
        for (name, reference) in &wanted.places(&registries) {
            let mut telling = Telling::of(name, &self.watchers);
            let image = match resolved(wanted, reference, &registries, &mut telling).await {
                Ok(image) => image,
                Err(error) => {
                    last = Some(self.failure(error));
                    continue;
                }
            };
            let (export, known) = described(&image.config, &above_ids);
            // Whoever held the lock may have put it there.
            if let Some(id) = engine.image(&known).await.map_err(ImageFault::passing)? {
                store.keep_documents(&image).await.map_err(|error| self.failure(error))?;
                return Ok(self.root_in_engine(&known, id, &image.config));
            }
            telling.begins(store.progress(&image));
            let (reader, writer) = tokio::io::duplex(PIPE_BYTES);
            let writer = SyncIoBridge::new(writer);
            let written = store.export_above(Some(&image), above.to_vec(), &export, writer);
            let both = futures_util::future::join(written, engine.load(reader));
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
        Err(last.unwrap_or_else(|| unknown(&wanted.digest.to_string())))
    }

    /// Which of two failures is the cause: an engine that takes no more is why the rest cannot be written, and an archive
    /// that ends early is why the engine does not take it.
    pub(super) fn outcome(
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

/// What an engine is to have of an image with layers above it.
pub(super) fn described(config: &ImageConfig, above: &[Digest]) -> (EngineExport, EngineImage) {
    let export = EngineExport::above(config, above);
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
        if let Err(error) = blocking(evict(engine, dir, bound, RECENT)) {
            let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
            if !std::mem::replace(&mut *quiet, true) {
                tracing::warn!(error, "images are not removed from the Docker engine");
            }
        }
    }
}

/// Whether there may be images of this cache in an engine.
pub(crate) fn has_engine_images(dir: &Path) -> bool {
    fs::read_dir(dir.join(NOTES)).is_ok_and(|mut notes| notes.next().is_some())
}

/// Removes images of this cache that no container is made of: with a bound, as [`Engines::settle`]; without, all. How many;
/// blocks.
///
/// # Errors
/// The engine fails, in its words.
pub(crate) fn remove_engine_images(engine: &Engine, dir: &Path, bound: Option<u64>) -> Result<usize, String> {
    let Some(bound) = bound else { return blocking(clear(engine, dir)) };
    blocking(evict(engine, dir, bound, RECENT))
}

async fn clear(engine: &Engine, dir: &Path) -> Result<usize, EngineError> {
    let removed = evict(engine, dir, 0, Duration::ZERO).await?;
    // Those that somebody else has removed are noted still.
    let there: Vec<PathBuf> = engine.images().await?.iter().filter_map(|(name, _)| note(dir, name)).collect();
    for noted in fs::read_dir(dir.join(NOTES)).into_iter().flatten().flatten() {
        if !there.contains(&noted.path()) {
            drop(fs::remove_file(noted.path()));
        }
    }
    // What was read of archives that the cache has no more.
    for notes in [super::above::NOTES, ENGINE_USERS] {
        drop(fs::remove_dir_all(dir.join(notes)));
    }
    Ok(removed)
}

fn blocking<T>(work: impl Future<Output = Result<T, EngineError>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(work).map_err(|error| error.to_string())
}

async fn evict(engine: &Engine, dir: &Path, bound: u64, recent: Duration) -> Result<usize, EngineError> {
    let mut removed = 0;
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
        let is_recent = !recent.is_zero() && used.elapsed().map_or(true, |age| age < recent);
        if bytes <= bound || is_recent {
            break;
        }
        if engine.remove_image(&name).await? {
            bytes = bytes.saturating_sub(size);
            removed += 1;
            if let Some(note) = note(dir, &name) {
                // Without the image it says nothing.
                let _ = fs::remove_file(note);
            }
        }
    }
    Ok(removed)
}
