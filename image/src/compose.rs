//! An image out of another one and layers that steps left above it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::digest::Hasher;
use crate::manifest::{Blob, MOST_BYTES, OCI_LAYER};
use crate::source::{FilePart, offload};
use crate::store::BlobHolds;
use crate::tarball::{Entry, Kind, TarWriter, Time};
use crate::{Digest, ImageConfig, ImageError, Layer, LayoutWriter, Resolved, Store, WrittenImage};

/// An image whose parts are files of this machine. Its digests depend on the image below and on the layers alone.
#[derive(Debug)]
pub struct Composed {
    name: String,
    config_json: Vec<u8>,
    config: ImageConfig,
    layers: Vec<(Layer, FilePart)>,
    store: Store,
    /// Blobs of the image below stay until all is written.
    _blobs: BlobHolds,
}

/// What is done in every image that is made here.
const CREATED_BY: &str = "cullet";
/// Of the configuration below: how its last layer was made, and on which machine.
const STALE: [&str; 4] = ["container", "container_config", "docker_version", "id"];

impl Store {
    /// The image `base` with `made` above it, which are uncompressed archives, the lowest first. Layers of `base` that are
    /// on no disk of this machine are fetched.
    ///
    /// # Errors
    /// [`ImageError::Document`] where no such image can be, [`ImageError::Registry`] and [`ImageError::Io`].
    pub async fn compose(
        &self,
        base: &Resolved,
        made: Vec<PathBuf>,
        created: &str,
    ) -> Result<Composed, ImageError> {
        // Before they are looked for: nobody can remove them from then on.
        let blobs = self.hold_blobs(base).await?;
        let mut layers = Vec::with_capacity(base.layers.len() + made.len());
        for layer in &base.layers {
            let place = match base.source.place(&layer.blob) {
                Some(place) => place,
                None => {
                    let file = self.blob(base, &layer.blob).await?;
                    FilePart { file, offset: 0, size: layer.blob.size }
                }
            };
            let blob = Blob { media_type: oci_media_type(&layer.blob.media_type), ..layer.blob.clone() };
            layers.push((Layer { blob, diff_id: layer.diff_id }, place));
        }
        let name = base.reference.to_string();
        let measured =
            offload(&name, move || made.iter().map(|file| measure(file)).collect::<Result<Vec<_>, _>>());
        layers.extend(measured.await?);
        let diff_ids: Vec<Digest> = layers.iter().map(|(layer, _)| layer.diff_id).collect();
        let config_json = configuration(&base.config_json, &diff_ids, base.layers.len(), created, &name)?;
        let config = ImageConfig::read(&config_json, &name)?;
        Ok(Composed { name, config_json, config, layers, store: self.clone(), _blobs: blobs })
    }
}

impl Composed {
    /// Writes it as an image layout into an empty directory. Blocking.
    ///
    /// # Errors
    /// [`ImageError::Io`], and [`ImageError::Damaged`] where a layer is not what its digest says.
    pub fn write_layout(&self, dir: &Path) -> Result<WrittenImage, ImageError> {
        let writer = LayoutWriter::new(dir)?;
        for (layer, place) in &self.layers {
            writer.add_file(&layer.blob.digest, |to| self.copy(layer, place, to))?;
        }
        let layers: Vec<Layer> = self.layers.iter().map(|(layer, _)| layer.clone()).collect();
        writer.add_documents(&self.config_json, &self.config, &layers, None)
    }

    /// Writes it as `docker save` does, called `name` if it is to have one, and gives the digest of its configuration, which Docker calls
    /// the image's ID. Blocking.
    ///
    /// # Errors
    /// As [`Self::write_layout`].
    pub fn write_archive(&self, to: impl Write, name: Option<&str>) -> Result<Digest, ImageError> {
        let id = Digest::of(&self.config_json);
        let config_name = format!("{}.json", id.hex());
        let mut tar = TarWriter::new(to);
        let mut names: Vec<String> = Vec::new();
        for (layer, place) in &self.layers {
            let name = format!("{}.tar", layer.blob.digest.hex());
            if !names.contains(&name) {
                tar.entry(&file_entry(&name, layer.blob.size)).map_err(|error| self.unwritten(error))?;
                self.copy(layer, place, &mut Content(&mut tar))?;
                tar.pad(layer.blob.size).map_err(|error| self.unwritten(error))?;
            }
            names.push(name);
        }
        let manifest =
            json!([{ "Config": config_name, "RepoTags": name.map(|name| [name]), "Layers": names }]);
        let manifest = serde_json::to_vec(&manifest).unwrap_or_default();
        for (name, bytes) in [(&*config_name, &self.config_json), ("manifest.json", &manifest)] {
            let size = bytes.len() as u64;
            let written = tar
                .entry(&file_entry(name, size))
                .and_then(|()| tar.write(bytes))
                .and_then(|()| tar.pad(size));
            written.map_err(|error| self.unwritten(error))?;
        }
        let done = tar.finish().and_then(|mut to| to.flush());
        done.map(|()| id).map_err(|error| self.unwritten(error))
    }

    fn unwritten(&self, error: io::Error) -> ImageError {
        ImageError::io("write the archive of", &self.name, error)
    }

    /// Exactly the bytes that the digest is of.
    fn copy(&self, layer: &Layer, place: &FilePart, to: &mut dyn Write) -> Result<(), ImageError> {
        let fail = |error| ImageError::io("copy", &place.file, error);
        let (mut source, mut hasher) = (place.open()?.take(layer.blob.size), Hasher::default());
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = source.read(&mut buffer).map_err(fail)?;
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            to.write_all(&buffer[..count]).map_err(fail)?;
        }
        let (expected, actual) = (layer.blob.digest, hasher.finish());
        if actual != expected {
            self.store.forget_damaged(&expected, &place.file);
            return Err(ImageError::Damaged { what: "layer", image: self.name.clone(), expected, actual });
        }
        Ok(())
    }
}

const CHUNK: usize = 256 << 10;

/// The bytes of an entry.
struct Content<'t, W: Write>(&'t mut TarWriter<W>);

impl<W: Write> Write for Content<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn file_entry(name: &str, size: u64) -> Entry {
    let mtime = Time { seconds: 0, nanos: 0 };
    let (path, link, xattrs) = (name.as_bytes().to_vec(), Vec::new(), Vec::new());
    Entry { path, link, kind: Kind::File, size, mode: 0o644, uid: 0, gid: 0, mtime, xattrs }
}

/// What is in a file, as a layer that is not compressed.
fn measure(file: &Path) -> Result<(Layer, FilePart), ImageError> {
    let fail = |error| ImageError::io("read", file, error);
    let (mut source, mut hasher) = (File::open(file).map_err(fail)?, Hasher::default());
    let mut buffer = vec![0; CHUNK];
    loop {
        match source.read(&mut buffer).map_err(fail)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let size = hasher.size();
    let digest = hasher.finish();
    let blob = Blob { media_type: OCI_LAYER.to_owned(), digest, size };
    Ok((Layer { blob, diff_id: digest }, FilePart { file: file.to_owned(), offset: 0, size }))
}

/// Docker's names of layers in a manifest of OCI.
fn oci_media_type(kind: &str) -> String {
    match kind.strip_prefix("application/vnd.docker.image.rootfs.") {
        Some("diff.tar") => OCI_LAYER.to_owned(),
        Some("diff.tar.gzip") => format!("{OCI_LAYER}+gzip"),
        Some("diff.tar.zstd") => format!("{OCI_LAYER}+zstd"),
        _ => kind.to_owned(),
    }
}

/// The configuration below with further layers. Everything else that it says holds for the new image as well.
fn configuration(
    below: &[u8],
    diff_ids: &[Digest],
    count_below: usize,
    created: &str,
    image: &str,
) -> Result<Vec<u8>, ImageError> {
    let bad = |problem: String| ImageError::document("configuration", image, problem);
    let mut config: serde_json::Map<String, Value> =
        serde_json::from_slice(below).map_err(|error| bad(error.to_string()))?;
    for name in STALE {
        config.remove(name);
    }
    config.insert("created".to_owned(), json!(created));
    config.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": diff_ids }));
    // A history says of each layer how it was made, or there is none.
    let is_layer = |entry: &&Value| entry["empty_layer"] != json!(true);
    match config.get_mut("history") {
        Some(Value::Array(history)) if history.iter().filter(is_layer).count() == count_below => {
            let entry = json!({ "created": created, "created_by": CREATED_BY });
            history.extend(std::iter::repeat_n(entry, diff_ids.len().saturating_sub(count_below)));
        }
        _ => drop(config.remove("history")),
    }
    let json = serde_json::to_vec(&config).unwrap_or_default();
    if json.len() as u64 > MOST_BYTES {
        return Err(ImageError::TooLarge {
            what: "configuration",
            image: image.to_owned(),
            limit: MOST_BYTES,
        });
    }
    Ok(json)
}
