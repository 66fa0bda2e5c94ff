//! Unpacked layers in the store.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::clean::remove;
use super::helper::{OwnerHelper, UnpackTask};
use super::{Shared, StoredLayer, durable};
use crate::layer::{GivenOwners, LayerError, LayerId, Notes, OverlayForm, Owners, UnpackOptions, Unpacked};
use crate::source::{FilePart, offload};
use crate::{Digest, ImageError, Layer};

/// Layers unpacked in different ways are different directories.
pub(super) fn form_name(options: &UnpackOptions) -> String {
    let name = match (options.form, options.owners) {
        (OverlayForm::Trusted, Owners::Kept) => "trusted",
        (OverlayForm::Trusted, Owners::Unpacker) => "trusted-unowned",
        (OverlayForm::User, Owners::Kept) => "user-owned",
        (OverlayForm::User, Owners::Unpacker) => "user",
        (form, Owners::Given(GivenOwners { uid, gid, on_machine: (first_uid, first_gid), .. })) => {
            let form = if form == OverlayForm::User { "user" } else { "trusted" };
            return format!("{form}-{uid}-{gid}-from-{first_uid}-{first_gid}");
        }
    };
    name.to_owned()
}

pub(super) const TREE: &str = "tree";
const NOTES: &str = "notes";

/// What is known of a layer beside its files.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct About {
    notes: Notes,
    /// In which boot of the machine it was unpacked.
    boot: Option<String>,
    /// Of the uncompressed archive, which is about what the tree takes of the disk.
    #[serde(default)]
    bytes: u64,
}

/// The file of a layer whose time is that of its last use.
pub(super) fn notes(path: &Path) -> PathBuf {
    path.join(NOTES)
}

/// How large a layer is, as far as it is known. Blocking.
pub(super) fn bytes(path: &Path) -> u64 {
    let about = fs::read(path.join(NOTES)).ok();
    about.and_then(|about| serde_json::from_slice::<About>(&about).ok()).map_or(0, |about| about.bytes)
}

/// The layer of that name, if it is there and whole. Blocking.
pub(super) fn read(path: &Path, diff_id: Digest) -> Result<Option<StoredLayer>, ImageError> {
    let found = look(path)?;
    Ok(found.map(|About { notes, bytes, .. }| StoredLayer { diff_id, tree: path.join(TREE), notes, bytes }))
}

/// What is known of a layer, if it is there and whole. Blocking.
pub(super) fn look(path: &Path) -> Result<Option<About>, ImageError> {
    let notes = match fs::read(path.join(NOTES)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        notes => notes.map_err(|error| ImageError::io("read", path.join(NOTES), error))?,
    };
    // Nobody but a power cut leaves this unreadable.
    let about: About = serde_json::from_slice(&notes).unwrap_or_default();
    if !durable::is_whole(path, about.boot.as_deref()) {
        return Ok(None);
    }
    Ok(Some(about))
}

/// Tells the thread that unpacks when nobody waits for it any more.
pub(super) struct GiveUp(pub(super) Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    /// Unpacks a layer unless another process has done so meanwhile.
    pub(super) async fn unpack(
        &self,
        image: &str,
        layer: &Layer,
        place: FilePart,
        path: PathBuf,
    ) -> Result<StoredLayer, ImageError> {
        let _permit = self.unpacks.acquire().await;
        let name = self.layer_name(&layer.diff_id);
        let lock = self.lock(&name).await?;
        let (options, helper, layer) =
            (self.options.unpack.clone(), self.options.helper.clone(), layer.clone());
        let (working, title) = (self.dir.join("unpacking").join(name), image.to_owned());
        let syncing = Arc::clone(&self.syncing);
        let give_up = GiveUp(Arc::default());
        let cancelled = Arc::clone(&give_up.0);
        offload(image, move || {
            // Goes with the thread: it may outlive whoever asked.
            let _lock = lock;
            if let Some(found) = read(&path, layer.diff_id)? {
                return Ok(found);
            }
            let helper = helper.as_deref();
            remove(&working, helper)?;
            let made = make(&title, &layer, &place, (&working, &options), helper, &cancelled);
            if made.is_err() {
                // What is left is removed when the store is opened, if it cannot be now.
                drop(remove(&working, helper));
            }
            let About { notes, bytes, .. } = made?;
            publish(&working, &path, helper)?;
            syncing.add(&path);
            Ok(StoredLayer { diff_id: layer.diff_id, tree: path.join(TREE), notes, bytes })
        })
        .await
    }
}

fn make(
    image: &str,
    layer: &Layer,
    place: &FilePart,
    (working, options): (&Path, &UnpackOptions),
    helper: Option<&dyn OwnerHelper>,
    cancelled: &AtomicBool,
) -> Result<About, ImageError> {
    let tree = working.join(TREE);
    fs::create_dir_all(&tree).map_err(|error| ImageError::io("make", &tree, error))?;
    let id = LayerId { digest: layer.blob.digest, size: layer.blob.size, diff_id: layer.diff_id };
    let FilePart { file, offset, size: bytes } = place.clone();
    let task = UnpackTask { file, offset, bytes, id: Some(id), tree, options: options.clone() };
    let unpacked = task.run_with(helper, cancelled).map_err(|source| {
        if let LayerError::Digest { expected, actual } = source {
            return ImageError::Damaged { what: "layer", image: image.to_owned(), expected, actual };
        }
        ImageError::Layer { image: image.to_owned(), layer: layer.diff_id, source: Box::new(source) }
    })?;
    describe(working, unpacked)
}

/// Writes down what is known of a layer, which is whole then.
pub(super) fn describe(working: &Path, unpacked: Unpacked) -> Result<About, ImageError> {
    let about = About { notes: unpacked.notes, boot: durable::boot(), bytes: unpacked.bytes };
    let path = working.join(NOTES);
    let json = serde_json::to_vec(&about).unwrap_or_default();
    fs::write(&path, json).map_err(|error| ImageError::io("write", &path, error))?;
    Ok(about)
}

/// Gives the layer its name.
pub(super) fn publish(
    working: &Path,
    path: &Path,
    helper: Option<&dyn OwnerHelper>,
) -> Result<(), ImageError> {
    let fail = |error| ImageError::io("keep", path, error);
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(fail)?;
    // What is there is of an earlier boot and not whole, so that nobody uses it.
    remove(path, helper)?;
    fs::rename(working, path).map_err(fail)
}
