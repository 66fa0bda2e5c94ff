//! Images made here, in a directory in the form of the OCI image layout.
//!
//! Source: OCI image-spec, `image-layout.md`.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Value, json};
use tempfile::{Builder, NamedTempFile};

use crate::layer::{Compression, Notes, WriteOptions, write_layer};
use crate::manifest::{Blob, MOST_BYTES, Manifest, OCI_CONFIG, OCI_INDEX, OCI_LAYER};
use crate::source::read_file;
use crate::{Digest, ImageConfig, ImageError, Layer};

/// Writes images into one directory, which then holds each blob once. Equal images have equal digests: no time and
/// no name of a machine is in them.
#[derive(Debug)]
pub struct LayoutWriter {
    dir: PathBuf,
}

/// An image in a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenImage {
    /// Of the manifest.
    pub digest: Digest,
    /// The manifest itself.
    pub manifest: Vec<u8>,
    /// Of the manifest.
    pub media_type: String,
    /// Configuration and layers, with the files they are in.
    pub blobs: Vec<(Blob, PathBuf)>,
}

const NAME: &str = "org.opencontainers.image.ref.name";

impl LayoutWriter {
    /// Makes the directory a layout, unless it is one.
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub fn new(dir: &Path) -> Result<Self, ImageError> {
        let writer = Self { dir: dir.to_owned() };
        let blobs = dir.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).map_err(|error| ImageError::io("make", &blobs, error))?;
        writer.replace("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        if !dir.join("index.json").exists() {
            writer.replace("index.json", &json_bytes(&index(Vec::new())))?;
        }
        Ok(writer)
    }

    /// Writes a directory as a layer. Blocking.
    ///
    /// # Errors
    /// [`ImageError::Unwritable`] for what no layer can hold, and [`ImageError::Io`].
    pub fn add_layer(&self, tree: &Path, options: &WriteOptions) -> Result<(Layer, Notes), ImageError> {
        let file = self.temporary()?;
        let written = write_layer(tree, BufWriter::new(file.as_file()), options)
            .map_err(|source| ImageError::Unwritable { tree: tree.to_owned(), source: Box::new(source) })?;
        keep(file, &self.path(&written.id.digest))?;
        let kind = match options.compression {
            Compression::None => "",
            Compression::Gzip => "+gzip",
            Compression::Zstd => "+zstd",
        };
        let media_type = format!("{OCI_LAYER}{kind}");
        let blob = Blob { media_type, digest: written.id.digest, size: written.id.size };
        Ok((Layer { blob, diff_id: written.id.diff_id }, written.notes))
    }

    /// Writes configuration, manifest and an entry of the index; an earlier image of this name and platform loses
    /// its entry. The layers have to be those of [`Self::add_layer`] or otherwise be there; the configuration's list
    /// of them is made here. Blocking.
    ///
    /// # Errors
    /// [`ImageError::Io`], and [`ImageError::Document`] where the index cannot be read.
    pub fn add_image(
        &self,
        config: &ImageConfig,
        layers: &[Layer],
        name: Option<&str>,
    ) -> Result<WrittenImage, ImageError> {
        self.add_documents(&config.json(layers), config, layers, name)
    }

    /// The same with a configuration that was made elsewhere, which is that of these layers.
    pub(crate) fn add_documents(
        &self,
        config_json: &[u8],
        config: &ImageConfig,
        layers: &[Layer],
        name: Option<&str>,
    ) -> Result<WrittenImage, ImageError> {
        let config_blob = self.add_blob(OCI_CONFIG, config_json)?;
        let blobs: Vec<Blob> = layers.iter().map(|layer| layer.blob.clone()).collect();
        let manifest = Manifest::new(config_blob.clone(), blobs.clone());
        let bytes = manifest.bytes();
        let blob = self.add_blob(&manifest.media_type, &bytes)?;
        self.add_entry(&blob, config, name)?;
        let files = std::iter::once(config_blob).chain(blobs).map(|blob| {
            let file = self.path(&blob.digest);
            (blob, file)
        });
        Ok(WrittenImage {
            digest: blob.digest,
            manifest: bytes,
            media_type: blob.media_type,
            blobs: files.collect(),
        })
    }

    fn add_blob(&self, media_type: &str, bytes: &[u8]) -> Result<Blob, ImageError> {
        let digest = Digest::of(bytes);
        let mut file = self.temporary()?;
        file.write_all(bytes).map_err(|error| ImageError::io("write", file.path(), error))?;
        keep(file, &self.path(&digest))?;
        Ok(Blob { media_type: media_type.to_owned(), digest, size: bytes.len() as u64 })
    }

    /// A blob of this digest, unless it is there; `fill` writes it, and sees to it that it is that one.
    pub(crate) fn add_file(
        &self,
        digest: &Digest,
        fill: impl FnOnce(&mut dyn std::io::Write) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let path = self.path(digest);
        if path.exists() {
            return Ok(());
        }
        let mut file = self.temporary()?;
        fill(&mut file)?;
        keep(file, &path)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    /// A new file, which gets its name when it is whole, and otherwise goes.
    fn temporary(&self) -> Result<NamedTempFile, ImageError> {
        let dir = self.dir.join("blobs");
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        let made = Builder::new().prefix(".writing-").permissions(readable).tempfile_in(&dir);
        made.map_err(|error| ImageError::io("make a file in", dir, error))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
        let mut file = self.temporary()?;
        file.write_all(bytes).map_err(|error| ImageError::io("write", file.path(), error))?;
        keep(file, &self.dir.join(name))
    }

    fn add_entry(&self, blob: &Blob, config: &ImageConfig, name: Option<&str>) -> Result<(), ImageError> {
        let path = self.dir.join("index.json");
        let read = read_file(&path, "index", MOST_BYTES)?;
        let image = format!("oci-layout:{}", self.dir.display());
        let read: Value =
            serde_json::from_slice(&read).map_err(|error| ImageError::document("index", &image, error))?;
        let platform = &config.platform;
        let mut entry = json!({
            "mediaType": blob.media_type, "digest": blob.digest, "size": blob.size,
            "platform": { "os": platform.os, "architecture": platform.architecture },
        });
        if let Some(variant) = &platform.variant {
            entry["platform"]["variant"] = json!(variant);
        }
        if let Some(name) = name {
            entry["annotations"] = json!({ NAME: name });
        }
        let mut entries = read["manifests"].as_array().cloned().unwrap_or_default();
        let same = |other: &Value| {
            let named = name.is_some() && other["annotations"][NAME] == entry["annotations"][NAME];
            (named && other["platform"] == entry["platform"]) || (name.is_none() && other == &entry)
        };
        entries.retain(|other| !same(other));
        entries.push(entry);
        self.replace("index.json", &json_bytes(&index(entries)))
    }
}

fn keep(file: NamedTempFile, path: &Path) -> Result<(), ImageError> {
    let fail = |error| ImageError::io("write", path, error);
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map(drop).map_err(|error| fail(error.error))
}

fn index(entries: Vec<Value>) -> Value {
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries })
}

fn json_bytes(value: &impl Serialize) -> Vec<u8> {
    // Maps of texts and numbers: there is nothing that could fail.
    serde_json::to_vec(value).unwrap_or_default()
}

impl ImageConfig {
    /// The configuration of an image of these layers.
    fn json(&self, layers: &[Layer]) -> Vec<u8> {
        let env: Vec<String> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| layer.diff_id).collect();
        let mut process = serde_json::Map::new();
        let mut add = |key: &str, value: Value, is_there: bool| {
            if is_there {
                process.insert(key.to_owned(), value);
            }
        };
        add("Env", json!(env), !env.is_empty());
        add("WorkingDir", json!(self.working_dir), self.working_dir.is_some());
        add("User", json!(self.user), self.user.is_some());
        add("Entrypoint", json!(self.entrypoint), !self.entrypoint.is_empty());
        add("Cmd", json!(self.cmd), !self.cmd.is_empty());
        let mut config = json!({
            "os": self.platform.os, "architecture": self.platform.architecture, "config": process,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        if let Some(variant) = &self.platform.variant {
            config["variant"] = json!(variant);
        }
        json_bytes(&config)
    }
}
