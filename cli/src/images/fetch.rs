//! Images fetched, checked and unpacked, once for all who want one at a time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
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
use super::root_error::RootError;
use super::telling::Telling;
use crate::commands::run::watchers::Watchers;
use crate::config::{Config, RegistrySettings};
use crate::error::CliError;
use crate::ui::size;

/// Images that are remembered as too large: a worker that meets more of them says it again of some.
const MOST_TOLD: usize = 1000;

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
    /// What images may take, bytes.
    bound: u64,
    /// Those that are larger, of which that was said.
    told: std::sync::Mutex<BTreeSet<String>>,
}

/// An image, while somebody wants it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) digest: Digest,
    /// What the pipeline calls it, and where it can be had by that; files and directories are absolute, registries are
    /// asked for the digest.
    pub(super) references: Vec<(String, Reference)>,
    /// Held by whoever fetches it, with the failure of the last who did.
    fetching: Mutex<Option<RootError>>,
    /// How often that was tried in vain.
    failures: AtomicU64,
}

#[derive(Debug)]
struct Opened {
    store: Store,
    owned: bool,
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
            bound: config.cache_options().bound,
            told: std::sync::Mutex::default(),
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

    /// Removes what ended processes left half done; blocks.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub(super) fn clean(&self) -> Result<u64, ImageError> {
        Store::clean(&self.dir, StoreOptions::default().keep_partial)
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
        let held = store.held(&wanted.digest, &Platform::host()).await;
        let image = match held.map_err(|error| self.failure(error))? {
            Some(image) => image,
            None => self.fetch(wanted, store).await?,
        };
        self.measure(wanted, &image);
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

    /// Says once of an image that it is larger than all images may be together: it stays while steps are in it, and then
    /// it goes.
    fn measure(&self, wanted: &Wanted, image: &HeldImage) {
        let (bytes, bound, digest) = (image.bytes(), self.bound, wanted.digest.to_string());
        if bytes <= bound || !self.is_news(&digest) {
            return;
        }
        let name = wanted.references.first().map_or(&*digest, |(name, _)| name.as_str());
        let text = format!(
            "the image {name} takes {} unpacked, more than the {} that images may take: what no step is in is removed, and \
             fetched again by the next one; allow more (--cache-size)",
            size::human(bytes),
            size::human(bound)
        );
        self.watchers.clone().event(&Event::Note(Note {
            level: "warning".to_owned(),
            kind: Some(Note::IMAGE.to_owned()),
            step: None,
            text: text.clone(),
        }));
        // Where steps are a cluster's, nobody watches.
        tracing::warn!("{text}");
    }

    fn is_news(&self, digest: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MOST_TOLD {
            told.clear();
        }
        told.insert(digest.to_owned())
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
        opened.map_err(ImageFault::passing)?.map_err(ImageFault::passing)
    }

    /// One of several that want the same image fetches it; if that fails, it has failed for those that waited.
    async fn fetch(&self, wanted: &Wanted, store: &Store) -> Result<HeldImage, ImageFault> {
        let before = wanted.failures.load(Ordering::Acquire);
        let mut failed = wanted.fetching.lock().await;
        if let (Some(error), true) = (&*failed, wanted.failures.load(Ordering::Acquire) != before) {
            return Err(self.failure(error.clone()));
        }
        let held = store.held(&wanted.digest, &Platform::host()).await;
        if let Some(held) = held.map_err(|error| self.failure(error))? {
            return Ok(held);
        }
        let registries = self.registries().map_err(ImageFault::passing)?;
        let mut found = self.find_anywhere(wanted, store, &registries).await;
        if matches!(&found, Err(RootError::Image(error)) if error.is_no_space()) && self.make_room().await {
            found = self.find_anywhere(wanted, store, &registries).await;
        }
        let error = match found {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        *failed = Some(error.clone());
        wanted.failures.fetch_add(1, Ordering::Release);
        Err(self.failure(error))
    }

    /// From wherever it is, or why it is at none of these places; of several reasons, one that may pass.
    async fn find_anywhere(
        &self,
        wanted: &Wanted,
        store: &Store,
        registries: &Registries,
    ) -> Result<HeldImage, RootError> {
        let mut last = RootError::Unknown(wanted.digest.to_string());
        for (name, reference) in &wanted.references {
            let mut telling = Telling::of(name, &self.watchers);
            match one(wanted, reference, store, registries, &mut telling).await {
                Ok(found) => return Ok(found),
                Err(error) if last.is_permanent() => last = error,
                Err(_) => {}
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
    pub(super) fn failure(&self, error: impl Into<RootError>) -> ImageFault {
        let error = match error.into() {
            RootError::Image(source) if source.is_no_space() => {
                RootError::NoSpace { dir: self.dir.clone(), source }
            }
            error => error,
        };
        ImageFault { permanent: error.is_permanent(), source: error.into() }
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
) -> Result<HeldImage, RootError> {
    let image = resolved(wanted, reference, registries, telling).await?;
    telling.begins(store.progress(&image));
    Ok(telling.during(store.take(&image), Some((store, &image))).await?)
}

/// The image as it is there, if that is the one that is meant.
pub(super) async fn resolved(
    wanted: &Wanted,
    reference: &Reference,
    registries: &Registries,
    telling: &mut Telling<'_>,
) -> Result<Resolved, RootError> {
    let image = telling.during(resolve(reference, &Platform::host(), registries), None).await?;
    let (found, pinned) = (image.manifest_digest, wanted.digest);
    if found != pinned {
        let reference = reference.to_string();
        return Err(RootError::Changed { reference, pinned, found });
    }
    Ok(image)
}

/// Nobody knows of such an image.
pub(super) fn unknown(manifest: &str) -> ImageFault {
    ImageFault::permanent(RootError::Unknown(manifest.to_owned()))
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
