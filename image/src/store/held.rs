//! Whole images of the store, for as long as somebody works in them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::hold::{Hold, used_now};
use super::{Shared, Store, StoredLayer, tree};
use crate::manifest::{Document, MOST_BYTES, Manifest};
use crate::source::{offload, read_file};
use crate::{Digest, ImageConfig, ImageError, Platform, Resolved};

/// An image whose layers are all there, and stay while this lives.
#[derive(Debug)]
pub struct HeldImage {
    /// How programs are started in it.
    pub config: ImageConfig,
    /// The layers, the lowest first. One that an image has several times is here once, at its highest place: it
    /// hides there whatever its lower places could show, and overlayfs takes no directory twice.
    pub layers: Vec<StoredLayer>,
    _holds: Holding,
}

impl HeldImage {
    /// About what its layers take of the disk.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.bytes).sum()
    }
}

type Holding = Vec<Arc<Hold>>;

/// Keeps the blobs of an image where they are until it is dropped.
#[derive(Debug)]
pub(crate) struct BlobHolds {
    _holds: Holding,
}

impl Store {
    /// The image with this manifest, if all of it is there. Nothing is fetched and nobody is asked.
    ///
    /// # Errors
    /// [`ImageError::Io`], [`ImageError::Document`] for documents that cannot be used, and [`ImageError::Platform`].
    pub async fn held(
        &self,
        manifest: &Digest,
        platform: &Platform,
    ) -> Result<Option<HeldImage>, ImageError> {
        let (store, manifest, platform) = (self.clone(), *manifest, platform.clone());
        let name = manifest.to_string();
        offload(&name, move || {
            let mut holds = vec![store.hold_document(&manifest)?];
            let Some(json) = store.document(&manifest)? else { return Ok(None) };
            let Document::Manifest(read) = Document::read(&json, &manifest.to_string())? else {
                return Ok(None);
            };
            holds.push(store.hold_document(&read.config.digest)?);
            let Some(config) = store.config(&manifest, &read, &platform)? else { return Ok(None) };
            let layers = store.hold_layers(&config, &mut holds)?;
            Ok(layers.map(|layers| HeldImage { config, layers, _holds: holds }))
        })
        .await
    }

    /// The image, of which whatever is missing is fetched and unpacked as [`Self::pull`] does it.
    ///
    /// # Errors
    /// As [`Self::pull`].
    pub async fn take(&self, image: &Resolved) -> Result<HeldImage, ImageError> {
        let (store, wanted, name) = (self.clone(), image.clone(), image.reference.to_string());
        // Before anything is there: nobody can remove it from then on.
        let (mut holds, blobs) = offload(&name, move || store.hold_all(&wanted)).await?;
        self.pull(image).await?;
        drop(blobs);
        let (store, config) = (self.clone(), image.config.clone());
        let title = name.clone();
        offload(&name, move || {
            let layers = store.hold_layers(&config, &mut holds)?;
            let layers = layers.ok_or_else(|| ImageError::Interrupted { image: title })?;
            Ok(HeldImage { config, layers, _holds: holds })
        })
        .await
    }

    /// Holds its documents and layers, and apart from them the blobs, which are needed until they are unpacked.
    fn hold_all(&self, image: &Resolved) -> Result<(Holding, Holding), ImageError> {
        let documents = [&image.manifest_json, &image.config_json].map(|json| Digest::of(json));
        let mut holds: Holding =
            documents.iter().map(|digest| self.hold_document(digest)).collect::<Result<_, _>>()?;
        let layers = image.layers.iter().map(|layer| self.hold_layer(&layer.diff_id));
        holds.extend(layers.collect::<Result<Holding, _>>()?);
        let blobs = image.layers.iter().map(|layer| self.hold_document(&layer.blob.digest));
        Ok((holds, blobs.collect::<Result<_, _>>()?))
    }

    /// Holds the blobs of its layers, as far as they are or will be in this store.
    pub(crate) async fn hold_blobs(&self, image: &Resolved) -> Result<BlobHolds, ImageError> {
        let ours = image.layers.iter().filter(|layer| image.source.place(&layer.blob).is_none());
        let digests: Vec<Digest> = ours.map(|layer| layer.blob.digest).collect();
        let store = self.clone();
        offload(&image.reference.to_string(), move || {
            let holds = digests.iter().map(|digest| store.hold_document(digest)).collect::<Result<_, _>>()?;
            Ok(BlobHolds { _holds: holds })
        })
        .await
    }

    fn hold_document(&self, digest: &Digest) -> Result<Arc<Hold>, ImageError> {
        self.shared.hold(&digest.hex())
    }

    fn hold_layer(&self, diff_id: &Digest) -> Result<Arc<Hold>, ImageError> {
        self.shared.hold(&self.shared.layer_name(diff_id))
    }

    /// A document of the store; none where it is missing or damaged, for then it is fetched again.
    pub(super) fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ImageError> {
        let path = self.blob_path(digest);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = read_file(&path, "document", MOST_BYTES)?;
        if Digest::of(&bytes) != *digest {
            super::clean::remove(&path, None)?;
            return Ok(None);
        }
        used_now(&path);
        Ok(Some(bytes))
    }

    pub(super) fn config(
        &self,
        manifest: &Digest,
        read: &Manifest,
        platform: &Platform,
    ) -> Result<Option<ImageConfig>, ImageError> {
        let Some(json) = self.document(&read.config.digest)? else { return Ok(None) };
        let image = manifest.to_string();
        let config = ImageConfig::read(&json, &image)?;
        if config.platform.suits(platform).is_none() {
            let available = vec![config.platform];
            return Err(ImageError::Platform { image, wanted: Box::new(platform.clone()), available });
        }
        Ok(Some(config))
    }

    /// None unless all of them are there.
    fn hold_layers(
        &self,
        config: &ImageConfig,
        holds: &mut Holding,
    ) -> Result<Option<Vec<StoredLayer>>, ImageError> {
        let mut seen = BTreeSet::new();
        let mut layers = Vec::new();
        for diff_id in config.diff_ids.iter().rev().filter(|diff_id| seen.insert(diff_id.hex())) {
            holds.push(self.hold_layer(diff_id)?);
            let path = self.layer_path(diff_id);
            let Some(layer) = tree::read(&path, *diff_id)? else { return Ok(None) };
            used_now(&tree::notes(&path));
            self.shared.syncing.add(&path);
            layers.push(layer);
        }
        layers.reverse();
        Ok(Some(layers))
    }
}

impl Shared {
    pub(super) fn hold(&self, name: &str) -> Result<Arc<Hold>, ImageError> {
        self.holds.take(&self.dir.join("locks"), name)
    }

    /// The name of a layer among locks and in `unpacking`.
    pub(super) fn layer_name(&self, diff_id: &Digest) -> String {
        format!("{}-{}", tree::form_name(&self.options.unpack), diff_id.hex())
    }
}
