//! Images fetched, checked and unpacked, once for all who want one at a time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use cullet_coordinator::event::{Event, EventSink as _, Note};
use cullet_image::layer::{Owners, UnpackOptions};
use cullet_image::{
    Digest, HeldImage, ImageError, Pick, Platform, Reference, Registries, Resolved, Store, StoreOptions,
    resolve,
};
use cullet_worker::{HeldRoot, ImageFault, ImageProgram, ImageRoot};
use tokio::sync::{Mutex, OnceCell};

use super::error::unusable;
use super::in_engine::Engines;
use super::left_out::LeftOut;
use super::telling::Telling;
use crate::commands::run::watchers::Watchers;
use crate::config::{Config, RegistrySettings};
use crate::error::CliError;

/// The images of a cache directory.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) dir: PathBuf,
    settings: RegistrySettings,
    /// Who is told of images on their way.
    pub(super) watchers: Watchers,
    /// Opened for the first step that is executed in an image.
    store: OnceCell<Opened>,
    /// The engine that has images in place of this store, and whoever puts one there.
    pub(super) engines: Engines,
    left_out: LeftOut,
}

/// An image, while somebody wants it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) digest: Digest,
    /// What the pipeline calls it, and where it can be had by that; files and directories are absolute, registries are
    /// asked for the digest.
    pub(super) references: Vec<(String, Reference)>,
    /// Held by whoever fetches it, with the failure of the last who did.
    fetching: Mutex<Option<ImageError>>,
    /// How often that was tried in vain.
    failures: AtomicU64,
}

#[derive(Debug)]
struct Opened {
    store: Store,
    owned: bool,
}

/// Why an image cannot be the root directory of a step, where [`ImageError`] does not know.
#[derive(Debug, thiserror::Error)]
pub(super) enum RootError {
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
    #[error("nobody knows where the image {0} is")]
    Unknown(String),
}

impl Wanted {
    pub(super) fn new(digest: Digest) -> Self {
        let (references, fetching, failures) = Default::default();
        Self { digest, references, fetching, failures }
    }

    /// It can be had there, which is called `name`.
    pub(super) fn is_at(&mut self, name: String, reference: Reference) {
        self.references.push((name, pinned_reference(reference, self.digest)));
    }
}

impl Fetcher {
    /// Nothing is looked at yet.
    pub(super) fn new(config: &Config) -> Self {
        let (dir, settings) = (config.images_dir(), config.registries.clone());
        Self {
            dir,
            settings,
            watchers: Watchers::idle(),
            store: OnceCell::new(),
            engines: Engines::default(),
            left_out: LeftOut::default(),
        }
    }

    /// Brings the images below `bound` bytes, if any were used; blocks.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(super) fn settle(&self, bound: u64) -> Result<(), ImageError> {
        if self.store.initialized() {
            self.evict(bound)?;
        }
        self.engines.settle(&self.dir, bound);
        Ok(())
    }

    /// Brings the images below `bound` bytes, as far as nobody uses them, and says whether any went; blocks.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(super) fn evict(&self, bound: u64) -> Result<bool, ImageError> {
        evict(&self.dir, bound)
    }

    /// The image as a root directory, fetched if it is not there.
    ///
    /// # Errors
    /// It cannot be had.
    pub(super) async fn root(&self, wanted: &Wanted) -> Result<HeldRoot, ImageFault> {
        let Opened { store, owned } = self.store.get_or_try_init(|| self.open()).await?;
        let image = match store.held(&wanted.digest, &Platform::host()).await.map_err(fault)? {
            Some(image) => image,
            None => self.fetch(wanted, store).await?,
        };
        self.say_what_is_left_out(wanted, &image, *owned);
        let root = ImageRoot {
            layers: image.layers.iter().map(|layer| layer.tree.clone()).collect(),
            owned: *owned,
            env: image.config.env.clone(),
            user: image.config.user.clone().unwrap_or_default(),
            in_engine: None,
        };
        let program = ImageProgram {
            arguments: image.config.entrypoint.iter().chain(&image.config.cmd).cloned().collect(),
            working_directory: image.config.working_dir.clone().unwrap_or_default(),
        };
        Ok(HeldRoot { root, program, hold: Box::new(image) })
    }

    /// To whoever watches the run, and in the log of a worker.
    fn say_what_is_left_out(&self, wanted: &Wanted, image: &HeldImage, owned: bool) {
        let digest = wanted.digest.to_string();
        let name = wanted.references.first().map_or(&*digest, |(name, _)| name.as_str());
        let Some(text) = self.left_out.first((&wanted.digest, name), &image.layers, owned) else { return };
        tracing::info!(image = name, manifest = digest, "{text}");
        let (level, kind) = ("info".to_owned(), Some(Note::IMAGE.to_owned()));
        self.watchers.clone().event(&Event::Note(Note { level, kind, step: None, text }));
    }

    /// The store, opened if nobody has done so.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) async fn store(&self) -> Result<&Store, ImageFault> {
        Ok(&self.store.get_or_try_init(|| self.open()).await?.store)
    }

    async fn open(&self) -> Result<Opened, ImageFault> {
        let dir = self.dir.clone();
        let open = move || -> Result<Opened, Box<dyn std::error::Error + Send + Sync>> {
            std::fs::create_dir_all(&dir)?;
            let unpack = UnpackOptions::for_directory(&dir)?;
            let owned = unpack.owners == Owners::Kept;
            let store = Store::open(&dir, StoreOptions { unpack, ..StoreOptions::default() })?;
            Ok(Opened { store, owned })
        };
        let opened = tokio::task::spawn_blocking(open).await;
        opened.map_err(|error| ImageFault(error.into()))?.map_err(ImageFault)
    }

    /// One of several that want the same image fetches it; if that fails, it has failed for those that waited.
    async fn fetch(&self, wanted: &Wanted, store: &Store) -> Result<HeldImage, ImageFault> {
        let before = wanted.failures.load(Ordering::Acquire);
        let mut failed = wanted.fetching.lock().await;
        if let (Some(error), true) = (&*failed, wanted.failures.load(Ordering::Acquire) != before) {
            return Err(self.failure(error.clone()));
        }
        if let Some(held) = store.held(&wanted.digest, &Platform::host()).await.map_err(fault)? {
            return Ok(held);
        }
        let registries = self.registries().map_err(|error| ImageFault(error.into()))?;
        let mut found = self.find_anywhere(wanted, store, &registries).await;
        if matches!(&found, Err(Some(error)) if error.is_no_space()) && self.make_room().await {
            found = self.find_anywhere(wanted, store, &registries).await;
        }
        let error = match found {
            Ok(found) => return found.map_err(fault),
            Err(Some(error)) => error,
            Err(None) => return Err(unknown(&wanted.digest.to_string())),
        };
        *failed = Some(error.clone());
        wanted.failures.fetch_add(1, Ordering::Release);
        Err(self.failure(error))
    }

    /// From wherever it is, or why it is not at the last of these places.
    async fn find_anywhere(
        &self,
        wanted: &Wanted,
        store: &Store,
        registries: &Registries,
    ) -> Result<Result<HeldImage, RootError>, Option<ImageError>> {
        let mut last = None;
        for (name, reference) in &wanted.references {
            let mut telling = Telling::of(name, &self.watchers);
            match one(wanted, reference, store, registries, &mut telling).await {
                Ok(found) => return Ok(found),
                Err(error) => last = Some(error),
            }
        }
        Err(last)
    }

    /// Removes every image that nobody uses; says whether there was one.
    pub(super) async fn make_room(&self) -> bool {
        let dir = self.dir.clone();
        let evicted = tokio::task::spawn_blocking(move || evict(&dir, 0)).await;
        matches!(evicted, Ok(Ok(true)))
    }

    /// What is to be done is known of a full disk.
    pub(super) fn failure(&self, error: ImageError) -> ImageFault {
        if error.is_no_space() {
            return fault(RootError::NoSpace { dir: self.dir.clone(), source: error });
        }
        fault(error)
    }

    /// A client costs more than a run that the cache answers.
    pub(super) fn registries(&self) -> Result<Registries, CliError> {
        Registries::new(self.settings.options()?).map_err(unusable)
    }
}

fn evict(dir: &Path, bound: u64) -> Result<bool, ImageError> {
    let evicted = Store::evict(dir, bound)?;
    Ok(evicted.bytes_after < evicted.bytes_before)
}

async fn one(
    wanted: &Wanted,
    reference: &Reference,
    store: &Store,
    registries: &Registries,
    telling: &mut Telling<'_>,
) -> Result<Result<HeldImage, RootError>, ImageError> {
    let image = match resolved(wanted, reference, registries, telling).await? {
        Ok(image) => image,
        Err(error) => return Ok(Err(error)),
    };
    telling.begins(store.progress(&image));
    telling.during(store.take(&image), Some((store, &image))).await.map(Ok)
}

/// The image as it is there, if that is the one that is meant.
pub(super) async fn resolved(
    wanted: &Wanted,
    reference: &Reference,
    registries: &Registries,
    telling: &mut Telling<'_>,
) -> Result<Result<Resolved, RootError>, ImageError> {
    let image = telling.during(resolve(reference, &Platform::host(), registries), None).await?;
    let (found, pinned) = (image.manifest_digest, wanted.digest);
    if found != pinned {
        let reference = reference.to_string();
        return Ok(Err(RootError::Changed { reference, pinned, found }));
    }
    Ok(Ok(image))
}

/// Nobody knows of such an image.
pub(super) fn unknown(manifest: &str) -> ImageFault {
    fault(RootError::Unknown(manifest.to_owned()))
}

pub(super) fn fault(error: impl std::error::Error + Send + Sync + 'static) -> ImageFault {
    ImageFault(Box::new(error))
}

/// A tag may have moved since it was pinned; the digest says which image is meant.
pub(super) fn pinned_reference(reference: Reference, digest: Digest) -> Reference {
    match reference {
        Reference::Registry(mut image) => {
            image.which = Pick::Digest(digest);
            Reference::Registry(image)
        }
        local => local,
    }
}
