//! Images fetched, checked and unpacked, once for all who want one at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use cullet_coordinator::event::{Event, EventSink as _, Note};
use cullet_image::layer::{Owners, UnpackOptions};
use cullet_image::{
    HeldImage, ImageConfig, ImageError, OwnerHelper, Platform, Reference, Registries, Resolved, Store,
    StoreOptions, resolve,
};
use cullet_worker::{HeldRoot, ImageFault, ImageProgram, ImageRoot, image_user};
use tokio::sync::{Mutex, OnceCell};

use super::error::unusable;
use super::helper::SubIdHelper;
use super::in_engine::Engines;
use super::left_out::LeftOut;
use super::root_error::RootError;
use super::telling::Telling;
use super::too_large::TooLarge;
use super::wanted::Wanted;
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
    /// Opened for the first step that is executed in an image, or the first image that is handed out.
    store: Arc<OnceCell<Opened>>,
    /// The same directory for steps of other users of their images than root, by user and group; none for those whose
    /// files all belong to one.
    others: Arc<Mutex<StoresByUser>>,
    /// The engine that has images in place of this store, and whoever puts one there.
    pub(super) engines: Engines,
    too_large: TooLarge,
    left_out: LeftOut,
}

/// By user and group.
type StoresByUser = BTreeMap<Option<(u32, u32)>, Store>;

#[derive(Debug)]
struct Opened {
    store: Store,
    owned: bool,
    /// Who unpacks for an ordinary user with sub-ids.
    helper: Option<Arc<SubIdHelper>>,
}

/// Whose the files are that belong to this user, for an image that says nothing else.
const ROOT: (u32, u32) = (0, 0);

impl Fetcher {
    /// Nothing is looked at yet.
    pub(super) fn new(config: &Config) -> Self {
        let (dir, settings) = (config.images_dir(), config.registries.clone());
        Self {
            dir,
            settings,
            watchers: Watchers::idle(),
            store: Arc::default(),
            others: Arc::default(),
            engines: Engines::default(),
            too_large: TooLarge::than(config.cache_options().bound),
            left_out: LeftOut::default(),
        }
    }

    /// Another one with the same store: that either of them has used it, both know.
    pub(super) fn beside(&self) -> Self {
        let (dir, settings, watchers) = (self.dir.clone(), self.settings.clone(), self.watchers.clone());
        let (store, others) = (Arc::clone(&self.store), Arc::clone(&self.others));
        let (engines, left_out, too_large) = (Engines::default(), LeftOut::default(), self.too_large.anew());
        Self { dir, settings, watchers, store, others, engines, too_large, left_out }
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
        let helper = SubIdHelper::find().map(as_owners);
        Store::clean(&self.dir, StoreOptions::default().keep_partial, helper.as_deref())
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
        let Opened { store, owned, helper } = self.opened().await?;
        let mut image = self.held(wanted, store).await?;
        let mut ranged = helper.as_ref().map(|_| ROOT);
        let user = image.config.user.clone().unwrap_or_default();
        if helper.is_some() {
            let layers: Vec<PathBuf> = image.layers.iter().map(|layer| layer.tree.clone()).collect();
            let (name, asked) = (user.clone(), move |name: &str| image_user(name, &layers));
            let found = tokio::task::spawn_blocking(move || asked(&name)).await;
            // Whoever cannot be found out is found by the sandbox, for which all files belong to one.
            ranged = found.map_err(ImageFault::passing)?.ok().flatten();
            if ranged != Some(ROOT) {
                image = self.held(wanted, &self.store_for(ranged).await?).await?;
            }
        }
        self.say_what_is_too_large(wanted, &image);
        self.say_what_is_left_out(wanted, &image, *owned);
        let root = ImageRoot {
            layers: image.layers.iter().map(|layer| layer.tree.clone()).collect(),
            owned: *owned,
            ranged,
            env: image.config.env.clone(),
            user,
            in_engine: None,
        };
        Ok(HeldRoot { root, program: program(&image.config), hold: Box::new(image) })
    }

    async fn held(&self, wanted: &Wanted, store: &Store) -> Result<HeldImage, ImageFault> {
        let held = store.held(&wanted.digest, &Platform::host()).await;
        match held.map_err(|error| self.failure(error))? {
            Some(image) => Ok(image),
            None => self.fetch(wanted, store).await,
        }
    }

    /// The store for steps whose images have [`ImageRoot::ranged`], opened if nobody has done so.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) async fn store_for(&self, ranged: Option<(u32, u32)>) -> Result<Store, ImageFault> {
        let Opened { store, helper, .. } = self.opened().await?;
        let Some(helper) = helper.clone().filter(|_| ranged != Some(ROOT)) else { return Ok(store.clone()) };
        let mut others = self.others.lock().await;
        if let Some(store) = others.get(&ranged) {
            return Ok(store.clone());
        }
        let unpack = ranged.map(|user| helper.unpacking(user));
        let store = self.open_store(unpack, ranged.and(Some(helper))).await?.store;
        others.insert(ranged, store.clone());
        Ok(store)
    }

    /// To whoever watches the run, and in the log of a worker.
    fn say_what_is_too_large(&self, wanted: &Wanted, image: &HeldImage) {
        let Some(text) = self.too_large.first(wanted, image.bytes()) else { return };
        tracing::warn!("{text}");
        let (level, kind) = ("warning".to_owned(), Some(Note::IMAGE.to_owned()));
        self.watchers.clone().event(&Event::Note(Note { level, kind, step: None, text }));
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
        Ok(&self.opened().await?.store)
    }

    async fn opened(&self) -> Result<&Opened, ImageFault> {
        self.store
            .get_or_try_init(|| async {
                let helper = tokio::task::spawn_blocking(SubIdHelper::find).await;
                let helper = helper.map_err(ImageFault::passing)?;
                let unpack = helper.as_ref().map(|helper| helper.unpacking(ROOT));
                self.open_store(unpack, helper).await
            })
            .await
    }

    /// As it suits the directory, where nothing else is said.
    async fn open_store(
        &self,
        unpack: Option<UnpackOptions>,
        helper: Option<Arc<SubIdHelper>>,
    ) -> Result<Opened, ImageFault> {
        let dir = self.dir.clone();
        let open = move || -> Result<Opened, Box<dyn std::error::Error + Send + Sync>> {
            std::fs::create_dir_all(&dir)?;
            let unpack = unpack.map_or_else(|| UnpackOptions::for_directory(&dir), Ok)?;
            let owned = unpack.owners == Owners::Kept;
            let options =
                StoreOptions { unpack, helper: helper.clone().map(as_owners), ..StoreOptions::default() };
            Ok(Opened { store: Store::open(&dir, options)?, owned, helper })
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
        for (name, reference) in &wanted.places(registries) {
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
    let helper = SubIdHelper::find().map(as_owners);
    let evicted = Store::evict(dir, bound, helper.as_deref())?;
    Ok(evicted.bytes_after < evicted.bytes_before)
}

fn as_owners(helper: Arc<SubIdHelper>) -> Arc<dyn OwnerHelper> {
    helper
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

/// What a service in the image runs where nobody says anything else.
pub(super) fn program(config: &ImageConfig) -> ImageProgram {
    ImageProgram {
        arguments: config.entrypoint.iter().chain(&config.cmd).cloned().collect(),
        working_directory: config.working_dir.clone().unwrap_or_default(),
    }
}
