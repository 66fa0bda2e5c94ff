//! Layers of images on this machine's disk, each fetched and unpacked once.
//!
//! ```text
//! blobs/sha256/HEX        as registries send them
//! layers/FORM/HEX/tree    an unpacked layer, by the digest of its content: a lower directory for overlayfs
//! layers/FORM/HEX/notes   what is not in it as the archive has it, and in which boot of the machine it was made
//! layers/FORM/made-NAME   the same for a layer that is known by another name than the digest of its content
//! layers/FORM/HEX/synced  when all of it is on the disk
//! partial/HEX             a blob that is being fetched, or was when a process ended
//! unpacking/FORM-HEX      a layer that is being unpacked, or was
//! locks/NAME              held by whoever works on one of the two
//! locks/use-NAME          shared by all who use a layer or a document; whoever removes it has it alone
//! ```
//!
//! What has its name is whole: everything is made under `partial` or `unpacking`, and renamed. Blobs are synced before
//! that; `durable` says what holds for layers.

mod clean;
mod damage;
mod durable;
mod evict;
mod export;
mod flight;
mod held;
mod helper;
mod hold;
mod lock;
mod made;
mod permits;
mod progress;
mod tree;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::Semaphore;

use crate::layer::{Notes, UnpackOptions};
use crate::manifest::Blob;
use crate::source::{FilePart, Source, offload};
use crate::{Digest, ImageError, Layer, Resolved};

pub use damage::Verified;
pub use durable::sync_when_quiet;
pub use evict::{Evicted, StoreStats};
pub use export::{EngineExport, ExportLayer};
use flight::Flights;
pub(crate) use held::BlobHolds;
pub use held::HeldImage;
pub use helper::{OwnerHelper, UnpackTask};
pub use made::{Archive, LayerHold, MadeLayer};
pub use progress::Progress;

/// Settings of a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// How layers are unpacked; [`UnpackOptions::for_directory`] finds out what suits the store's directory.
    pub unpack: UnpackOptions,
    /// Who does what takes the owners of layers, where this process may not.
    pub helper: Option<Arc<dyn OwnerHelper>>,
    /// How many layers are fetched at once from each registry, of all images.
    pub downloads: usize,
    /// How many are unpacked at once.
    pub unpacks: usize,
    /// How long another process is waited for that works on the same layer.
    pub lock_timeout: Duration,
    /// How long a partly fetched blob is kept that nobody works on.
    pub keep_partial: Duration,
}

impl Default for StoreOptions {
    /// Four connections fill a line, and registries refuse many more. Unpacking is bound by one core and the disk;
    /// two keep both busy. The largest layers take minutes, not half an hour. Whoever did not go on with a download
    /// within a day will not.
    fn default() -> Self {
        Self {
            unpack: UnpackOptions::for_this_user(),
            helper: None,
            downloads: 4,
            unpacks: 2,
            lock_timeout: Duration::from_secs(30 * 60),
            keep_partial: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// A directory of blobs and layers. Clones are the same store; several processes may have it open.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    options: StoreOptions,
    downloads: permits::Permits,
    unpacks: Semaphore,
    blobs: Flights<PathBuf>,
    layers: Flights<StoredLayer>,
    made: Flights<Option<PathBuf>>,
    syncing: Arc<durable::Syncing>,
    holds: hold::Holds,
}

/// An unpacked layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLayer {
    /// Of its content.
    pub diff_id: Digest,
    /// A lower directory for overlayfs; never to be written to.
    pub tree: PathBuf,
    /// What is not in it as the image has it.
    pub notes: Notes,
    /// Of the uncompressed archive, which is about what the tree takes of the disk; 0 where that is not known.
    pub bytes: u64,
}

impl Store {
    /// Opens a directory, made if it is missing, and removes what ended processes left half done. Blocking.
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, ImageError> {
        for name in ["blobs/sha256", "layers", "partial", "unpacking", "locks"] {
            let path = dir.join(name);
            std::fs::create_dir_all(&path).map_err(|error| ImageError::io("make", path, error))?;
        }
        // Layers have setuid programs of any age, which other users of this machine must not reach.
        for name in ["layers", "unpacking"] {
            let path = dir.join(name);
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(&path, private)
                .map_err(|error| ImageError::io("protect", path, error))?;
        }
        clean::leftovers(dir, options.keep_partial, options.helper.as_deref())?;
        let shared = Shared {
            dir: dir.to_owned(),
            downloads: permits::Permits::new(options.downloads),
            unpacks: Semaphore::new(options.unpacks.max(1)),
            blobs: Flights::default(),
            layers: Flights::default(),
            made: Flights::default(),
            syncing: Arc::default(),
            holds: hold::Holds::default(),
            options,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Removes from a directory, which need not be there, what ended processes left half done: layers, and parts of blobs that
    /// nobody went on with for so long. Says how many bytes of parts went. Blocking.
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub fn clean(
        dir: &Path,
        keep_partial: Duration,
        helper: Option<&dyn OwnerHelper>,
    ) -> Result<u64, ImageError> {
        clean::leftovers(dir, keep_partial, helper)
    }

    /// All layers of an image, the lowest first; those that are missing are fetched and unpacked side by side. Its
    /// manifest and its configuration are kept with the blobs.
    ///
    /// # Errors
    /// The first thing that goes wrong.
    pub async fn pull(&self, image: &Resolved) -> Result<Vec<StoredLayer>, ImageError> {
        for bytes in [&image.manifest_json, &image.config_json] {
            self.keep(bytes).await?;
        }
        // More than can be worked on at once would only wait.
        let most = self.shared.options.downloads + self.shared.options.unpacks;
        let (store, image) = (self.clone(), Arc::new(image.clone()));
        let layers = stream::iter(image.layers.clone()).map(move |layer| {
            let (store, image) = (store.clone(), Arc::clone(&image));
            async move { store.layer(&image, &layer).await }
        });
        layers.buffered(most).try_collect().await
    }

    /// One layer, fetched and unpacked if it is missing. Whoever asks for the same one at the same time, in this
    /// process or another, waits for the first.
    ///
    /// # Errors
    /// [`ImageError::Registry`] and [`ImageError::Layer`] above all.
    pub async fn layer(&self, image: &Resolved, layer: &Layer) -> Result<StoredLayer, ImageError> {
        let path = self.layer_path(&layer.diff_id);
        if let Some(found) = self.shared.present(&path, layer.diff_id).await? {
            return Ok(found);
        }
        let (shared, image, layer) = (Arc::clone(&self.shared), image.clone(), layer.clone());
        let store = self.clone();
        // By the blob as well as by its content: that one of two is damaged is not the fault of the other.
        let key = (layer.diff_id, layer.blob.digest, image.source.key());
        let work = async move {
            let mut is_first = true;
            loop {
                let place = match image.source.place(&layer.blob) {
                    Some(place) => place,
                    None => {
                        let file = store.blob(&image, &layer.blob).await?;
                        FilePart { file, offset: 0, size: layer.blob.size.saturating_add(1) }
                    }
                };
                let unpacked = shared.unpack(&image.reference.to_string(), &layer, place, path.clone()).await;
                let Err(error) = unpacked else { return unpacked };
                // It was whole when it came, and may have been damaged on the disk since.
                let may_be_mended = std::mem::replace(&mut is_first, false);
                if !may_be_mended || !store.drop_damaged(&image, &layer.blob, &error).await? {
                    return Err(error);
                }
            }
        };
        self.shared.layers.join(key, work).await
    }

    /// A blob as the registry sends it. For an image from a directory or an archive, there is none to fetch, and
    /// this is an error.
    ///
    /// # Errors
    /// [`ImageError::Registry`] above all.
    pub async fn blob(&self, image: &Resolved, blob: &Blob) -> Result<PathBuf, ImageError> {
        let path = self.blob_path(&blob.digest);
        if is_stored(&path, blob).await {
            return Ok(path);
        }
        let name = image.reference.to_string();
        let Source::Registry(repository) = image.source.clone() else {
            return Err(ImageError::document("blob", &name, "it is in no registry"));
        };
        let limit = self.shared.options.unpack.limits.unpacked_bytes;
        if blob.size > limit {
            return Err(ImageError::TooLarge { what: "layer", image: name, limit });
        }
        let (shared, blob) = (Arc::clone(&self.shared), blob.clone());
        let key = (blob.digest, blob.digest, image.source.key());
        let work = async move {
            let hex = blob.digest.hex();
            let _permit = shared.downloads.take(repository.registry()).await;
            let lock = shared.lock(&hex).await?;
            if is_stored(&path, &blob).await {
                return Ok(path);
            }
            let partial = shared.dir.join("partial").join(hex);
            if let Err(error) = repository.download(&blob, &partial).await {
                // What fills a disk is in everybody's way, and nobody knows when there will be room to go on with it.
                if error.is_no_space() {
                    drop(tokio::fs::remove_file(&partial).await);
                }
                return Err(error);
            }
            tokio::fs::rename(&partial, &path).await.map_err(|error| ImageError::io("keep", &path, error))?;
            drop(lock);
            Ok(path)
        };
        self.shared.blobs.join(key, work).await
    }

    /// Where a blob is on this machine, fetched if it is not here.
    ///
    /// # Errors
    /// [`ImageError::Registry`] above all.
    pub async fn file_of(&self, image: &Resolved, blob: &Blob) -> Result<FilePart, ImageError> {
        if let Some(FilePart { file, offset, .. }) = image.source.place(blob) {
            return Ok(FilePart { file, offset, size: blob.size });
        }
        let file = self.blob(image, blob).await?;
        Ok(FilePart { file, offset: 0, size: blob.size })
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.shared.dir.join("blobs/sha256").join(digest.hex())
    }

    fn layer_path(&self, diff_id: &Digest) -> PathBuf {
        let form = tree::form_name(&self.shared.options.unpack);
        self.shared.dir.join("layers").join(form).join(diff_id.hex())
    }

    /// Stores a short blob.
    async fn keep(&self, bytes: &[u8]) -> Result<(), ImageError> {
        let digest = Digest::of(bytes);
        let path = self.blob_path(&digest);
        if tokio::fs::try_exists(&path).await.unwrap_or(false) {
            return Ok(());
        }
        let lock = self.shared.lock(&digest.hex()).await?;
        let (partial, bytes) = (self.shared.dir.join("partial").join(digest.hex()), bytes.to_vec());
        offload(&digest.to_string(), move || {
            let _lock = lock;
            let write = || -> io::Result<()> {
                std::fs::write(&partial, &bytes)?;
                std::fs::File::open(&partial)?.sync_all()?;
                std::fs::rename(&partial, &path)
            };
            let written = write();
            if written.is_err() {
                drop(std::fs::remove_file(&partial));
            }
            written.map_err(|error| ImageError::io("keep", &path, error))
        })
        .await
    }
}

/// Whether it is there, and not cut off by damage to the disk.
async fn is_stored(path: &Path, blob: &Blob) -> bool {
    tokio::fs::metadata(path).await.is_ok_and(|stat| stat.len() == blob.size)
}

impl Shared {
    async fn lock(&self, name: &str) -> Result<lock::Lock, ImageError> {
        lock::Lock::wait(&self.dir.join("locks").join(name), self.options.lock_timeout).await
    }

    async fn present(&self, path: &Path, diff_id: Digest) -> Result<Option<StoredLayer>, ImageError> {
        let path = path.to_owned();
        offload("a layer", move || tree::read(&path, diff_id)).await
    }
}
