//! Images for container engines, which keep layers of their own.
//!
//! Source: the archives of `docker save`: `manifest.json`, the configuration that it names, and layers as archives.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::Store;
use crate::layer::{LayerError, write_content};
use crate::manifest::{Document, MOST_BYTES};
use crate::source::{FilePart, offload};
use crate::tarball::{Entry, Kind, TarWriter, Time};
use crate::{Digest, ImageConfig, ImageError, Layer, Platform, Resolved};

/// What an engine is to have of an image: its layers, by their content. How programs are started in it is said with each
/// container, and volumes, health checks and whatever else an engine would do by itself are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineExport {
    /// What it is to be called: `cullet/image:` and the digest of the configuration, so that one name is one content.
    pub name: String,
    /// Digests of the uncompressed layers, the lowest first.
    pub diff_ids: Vec<Digest>,
    config: Vec<u8>,
}

impl EngineExport {
    /// Of the image with this configuration.
    pub fn of(config: &ImageConfig) -> Self {
        let diff_ids = config.diff_ids.clone();
        let mut json = json!({
            "os": config.platform.os, "architecture": config.platform.architecture, "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        if let Some(variant) = &config.platform.variant {
            json["variant"] = json!(variant);
        }
        let config = bytes(&json);
        Self { name: format!("cullet/image:{}", Digest::of(&config).hex()), diff_ids, config }
    }

    fn config_name(&self) -> String {
        format!("{}.json", Digest::of(&self.config).hex())
    }

    fn manifest(&self) -> Vec<u8> {
        let layers: Vec<String> = self.diff_ids.iter().map(layer_name).collect();
        bytes(&json!([{ "Config": self.config_name(), "RepoTags": [self.name], "Layers": layers }]))
    }
}

fn layer_name(diff_id: &Digest) -> String {
    format!("{}/layer.tar", diff_id.hex())
}

fn bytes(json: &Value) -> Vec<u8> {
    // Maps of texts: there is nothing that could fail.
    serde_json::to_vec(json).unwrap_or_default()
}

/// A layer that is in no image yet: an uncompressed archive, in a file that nobody writes to.
#[derive(Debug, Clone)]
pub struct ExportLayer {
    /// The digest of the archive.
    pub diff_id: Digest,
    /// Where it is.
    pub file: PathBuf,
}

impl EngineExport {
    /// Of the image with this configuration, and of layers above it.
    pub fn above(config: &ImageConfig, layers: &[Digest]) -> Self {
        let mut config = config.clone();
        config.diff_ids.extend(layers);
        Self::of(&config)
    }
}

impl Store {
    /// The configuration of the image with this manifest, if both documents are there. Nobody is asked.
    ///
    /// # Errors
    /// [`ImageError::Io`], [`ImageError::Document`] for documents that cannot be used, and [`ImageError::Platform`].
    pub async fn configuration(
        &self,
        manifest: &Digest,
        platform: &Platform,
    ) -> Result<Option<ImageConfig>, ImageError> {
        let (store, manifest, platform) = (self.clone(), *manifest, platform.clone());
        offload(&manifest.to_string(), move || {
            let Some(json) = store.document(&manifest)? else { return Ok(None) };
            let Document::Manifest(read) = Document::read(&json, &manifest.to_string())? else {
                return Ok(None);
            };
            store.config(&manifest, &read, &platform)
        })
        .await
    }

    /// Keeps the documents of an image, for [`Self::configuration`].
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub async fn keep_documents(&self, image: &Resolved) -> Result<(), ImageError> {
        for json in [&image.manifest_json, &image.config_json] {
            self.keep(json).await?;
        }
        Ok(())
    }

    /// Writes an archive for an engine. Layers are fetched as needed, one after the other, and only those whose content is
    /// what the configuration says are in it.
    ///
    /// # Errors
    /// As [`Self::pull`]; [`ImageError::Io`] with the error of `to` where that cannot be written to.
    pub async fn export(
        &self,
        image: &Resolved,
        export: &EngineExport,
        to: impl Write + Send + 'static,
    ) -> Result<(), ImageError> {
        self.export_above(Some(image), Vec::new(), export, to).await
    }

    /// The same with layers above the image. Without the image, for an engine that has all that is below.
    ///
    /// # Errors
    /// As [`Self::export`].
    pub async fn export_above(
        &self,
        image: Option<&Resolved>,
        made: Vec<ExportLayer>,
        export: &EngineExport,
        to: impl Write + Send + 'static,
    ) -> Result<(), ImageError> {
        let title = image.map_or_else(|| export.name.clone(), |image| image.reference.to_string());
        let mut tar = TarWriter::new(to);
        let (manifest, config) = (export.manifest(), export.config.clone());
        let config_name = export.config_name();
        tar = offload(&title, move || {
            document(&mut tar, "manifest.json", &manifest)?;
            document(&mut tar, &config_name, &config)?;
            Ok(tar)
        })
        .await?;
        let _blobs = match image {
            Some(image) => Some(self.hold_blobs(image).await?),
            None => None,
        };
        let mut written = BTreeSet::new();
        if let Some(image) = image {
            for layer in image.layers.iter().filter(|layer| written.insert(layer.diff_id.hex())) {
                tar = self.add(tar, image, layer).await?;
            }
        }
        let made: Vec<ExportLayer> =
            made.into_iter().filter(|layer| written.insert(layer.diff_id.hex())).collect();
        offload(&title, move || {
            for layer in made {
                add_made(&mut tar, &layer)?;
            }
            tar.finish().and_then(|mut to| to.flush()).map_err(unwritten)
        })
        .await
    }

    async fn add<W: Write + Send + 'static>(
        &self,
        mut tar: TarWriter<W>,
        image: &Resolved,
        layer: &Layer,
    ) -> Result<TarWriter<W>, ImageError> {
        let (content, size) = match self.content(image, layer).await {
            Err(error) if self.drop_damaged(image, &layer.blob, &error).await? => {
                self.content(image, layer).await?
            }
            content => content?,
        };
        let (dir, name) = (self.shared.dir.join("partial"), layer_name(&layer.diff_id));
        offload(&image.reference.to_string(), move || {
            add_layer(&mut tar, &name, content, (size, &dir))?;
            Ok(tar)
        })
        .await
    }

    /// The content of a layer, checked, by way of a file without a name: an archive says how long a part is before that
    /// part.
    async fn content(&self, image: &Resolved, layer: &Layer) -> Result<(File, u64), ImageError> {
        let place = match image.source.place(&layer.blob) {
            Some(place) => place,
            None => {
                let file = self.blob(image, &layer.blob).await?;
                FilePart { file, offset: 0, size: layer.blob.size }
            }
        };
        let (title, layer, dir) =
            (image.reference.to_string(), layer.clone(), self.shared.dir.join("partial"));
        let limit = self.shared.options.unpack.limits.unpacked_bytes;
        let name = title.clone();
        offload(&name, move || {
            let fail = |error| ImageError::io("write to", &dir, error);
            let unusable = |source| {
                let (image, layer) = (title.clone(), layer.diff_id);
                ImageError::Layer { image, layer, source: Box::new(source) }
            };
            let mut content = tempfile::tempfile_in(&dir).map_err(fail)?;
            let (actual, size) =
                write_content(place.open()?, (&mut content, &dir), limit).map_err(unusable)?;
            if actual != layer.diff_id {
                return Err(unusable(LayerError::DiffId { expected: layer.diff_id, actual }));
            }
            content.rewind().map_err(fail)?;
            Ok((content, size))
        })
        .await
    }
}

fn unwritten(error: io::Error) -> ImageError {
    ImageError::io("write the image for the engine to", Path::new("a pipe"), error)
}

fn document(tar: &mut TarWriter<impl Write>, name: &str, content: &[u8]) -> Result<(), ImageError> {
    debug_assert!(content.len() as u64 <= MOST_BYTES, "a document of ours");
    tar.entry(&file(name, content.len() as u64))
        .and_then(|()| tar.write(content))
        .and_then(|()| tar.pad(content.len() as u64))
        .map_err(unwritten)
}

fn file(name: &str, size: u64) -> Entry {
    Entry {
        path: name.as_bytes().to_vec(),
        link: Vec::new(),
        kind: Kind::File,
        size,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: Time::default(),
        xattrs: Vec::new(),
    }
}

fn add_layer(
    tar: &mut TarWriter<impl Write>,
    name: &str,
    content: File,
    (size, dir): (u64, &Path),
) -> Result<(), ImageError> {
    tar.entry(&file(name, size)).map_err(unwritten)?;
    copy(content, tar, size).map_err(|error| match error {
        Copying::Read(error) => {
            ImageError::Io { action: "read", path: dir.to_owned(), source: Arc::new(error) }
        }
        Copying::Write(error) => unwritten(error),
    })
}

/// Whoever takes it compares the digest.
fn add_made(tar: &mut TarWriter<impl Write>, layer: &ExportLayer) -> Result<(), ImageError> {
    let fail = |error| ImageError::io("read", &layer.file, error);
    let content = File::open(&layer.file).map_err(fail)?;
    let size = content.metadata().map_err(fail)?.len();
    tar.entry(&file(&layer_name(&layer.diff_id), size)).map_err(unwritten)?;
    copy(content, tar, size).map_err(|error| match error {
        Copying::Read(error) => fail(error),
        Copying::Write(error) => unwritten(error),
    })
}

enum Copying {
    Read(io::Error),
    Write(io::Error),
}

fn copy(from: File, tar: &mut TarWriter<impl Write>, size: u64) -> Result<(), Copying> {
    let mut from = BufReader::new(from);
    let mut buffer = vec![0; 128 << 10];
    loop {
        match from.read(&mut buffer).map_err(Copying::Read)? {
            0 => return tar.pad(size).map_err(Copying::Write),
            count => tar.write(&buffer[..count]).map_err(Copying::Write)?,
        }
    }
}
