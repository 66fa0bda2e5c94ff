//! A file that `docker save` wrote, read where it is.
//!
//! Source: Docker's "Image Specification v1.2", "Combined Image JSON + Filesystem Changeset Format"; `manifest.json`
//! is the part of it that programs go by.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::FilePart;
use crate::digest::Hasher;
use crate::layer::{LayerError, Limits};
use crate::manifest::{Blob, MOST_BYTES, Manifest, OCI_CONFIG, OCI_LAYER};
use crate::tarball::{Kind, TarReader};
use crate::{Digest, ImageConfig, ImageError, Reference};

/// One image of an archive, with a manifest made for it.
pub(crate) struct Archive {
    file: PathBuf,
    documents: HashMap<Digest, Vec<u8>>,
    layers: HashMap<Digest, FilePart>,
}

/// By its file: the documents are for nobody to read.
impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Archive").field(&self.file).finish()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// What is in the archive by name.
enum Found {
    File(FilePart),
    /// To another name; older versions of Docker store a layer once that way.
    Link(String),
}

/// How often a link may lead to a link.
const LINKS: usize = 4;

impl Archive {
    /// Opens the file and picks the image by its name, or the only one. Its manifest is that of OCI with the layers
    /// as they are, so that it has the same digest wherever the archive was saved. Blocking; of the layers, only
    /// compressed ones are read.
    pub(crate) fn open(file: &Path, name: Option<&str>) -> Result<(Self, Blob), ImageError> {
        let place = format!("docker-archive:{}", file.display());
        let found = list(file, &place)?;
        let bad = |problem: String| ImageError::document("archive", &place, problem);
        let json = locate(&found, "manifest.json").map_err(bad)?.read("manifest", MOST_BYTES)?;
        let items: Vec<Item> = serde_json::from_slice(&json).map_err(|error| bad(error.to_string()))?;
        let item = pick(items, name, &place)?;
        let config = locate(&found, &item.config).map_err(bad)?.read("configuration", MOST_BYTES)?;
        let diff_ids = ImageConfig::read(&config, &place)?.diff_ids;
        if diff_ids.len() != item.layers.len() {
            return Err(bad(format!(
                "it has {} layers, and its configuration {}",
                item.layers.len(),
                diff_ids.len()
            )));
        }
        let mut layers = HashMap::new();
        let mut blobs = Vec::new();
        for (name, diff_id) in item.layers.iter().zip(diff_ids) {
            let place = locate(&found, name).map_err(bad)?;
            let blob = describe(&place, diff_id)?;
            layers.insert(blob.digest, place);
            blobs.push(blob);
        }
        let config_blob = Blob {
            media_type: OCI_CONFIG.to_owned(),
            digest: Digest::of(&config),
            size: config.len() as u64,
        };
        let manifest = Manifest::new(config_blob.clone(), blobs);
        let bytes = manifest.bytes();
        let blob =
            Blob { media_type: manifest.media_type, digest: Digest::of(&bytes), size: bytes.len() as u64 };
        let documents = HashMap::from([(blob.digest, bytes), (config_blob.digest, config)]);
        Ok((Self { file: file.to_owned(), documents, layers }, blob))
    }

    pub(crate) fn small(&self, digest: &Digest) -> &[u8] {
        self.documents.get(digest).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn place(&self, digest: &Digest) -> Option<FilePart> {
        self.layers.get(digest).cloned()
    }
}

/// Layers are mostly not compressed: then their digest is what the configuration says, which unpacking checks.
fn describe(place: &FilePart, diff_id: Digest) -> Result<Blob, ImageError> {
    let mut source = place.open()?;
    let mut buffer = vec![0; 64 << 10];
    let (mut hasher, mut media_type) = (Hasher::default(), OCI_LAYER.to_owned());
    loop {
        let count = source.read(&mut buffer).map_err(|error| ImageError::io("read", &place.file, error))?;
        if hasher.size() == 0 {
            match &buffer[..count.min(4)] {
                [0x1f, 0x8b, ..] => media_type.push_str("+gzip"),
                [0x28, 0xb5, 0x2f, 0xfd] => media_type.push_str("+zstd"),
                _ => return Ok(Blob { media_type, digest: diff_id, size: place.size }),
            }
        }
        if count == 0 {
            return Ok(Blob { media_type, size: hasher.size(), digest: hasher.finish() });
        }
        hasher.update(&buffer[..count]);
    }
}

fn list(file: &Path, place: &str) -> Result<HashMap<String, Found>, ImageError> {
    let opened = File::open(file).map_err(|error| ImageError::io("read", file, error))?;
    let mut reader = BufReader::new(opened);
    let mut start = [0; 2];
    // Too short for anything is too short for a header, which the reader says.
    if reader.read(&mut start).is_ok_and(|count| count == 2) && start == [0x1f, 0x8b] {
        let problem = "it is compressed as a whole, so that nothing in it can be found: run gunzip first";
        return Err(ImageError::document("archive", place, problem));
    }
    reader.seek_relative(-2).map_err(|error| ImageError::io("read", file, error))?;
    let mut reader = TarReader::new(reader, Limits { file_bytes: u64::MAX, ..Limits::default() });
    let mut found = HashMap::new();
    let bad = |error| ImageError::document("archive", place, LayerError::Tar(error));
    while let Some(entry) = reader.next().map_err(bad)? {
        let name = String::from_utf8_lossy(&entry.path).trim_start_matches("./").to_owned();
        let what = match entry.kind {
            Kind::File => {
                Found::File(FilePart { file: file.to_owned(), offset: reader.offset(), size: entry.size })
            }
            Kind::Symlink | Kind::HardLink => {
                let link = String::from_utf8_lossy(&entry.link).into_owned();
                Found::Link(if entry.kind == Kind::Symlink { beside(&name, &link) } else { link })
            }
            Kind::Directory | Kind::Device(_) => continue,
        };
        reader.seek_past().map_err(bad)?;
        if found.insert(name.clone(), what).is_some() {
            return Err(ImageError::document("archive", place, format!("it has `{name}` twice")));
        }
    }
    Ok(found)
}

/// What a relative link in the archive refers to. Only names of the archive are ever looked up.
fn beside(name: &str, link: &str) -> String {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => (),
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn locate(found: &HashMap<String, Found>, name: &str) -> Result<FilePart, String> {
    let mut at = name;
    for _ in 0..=LINKS {
        match found.get(at) {
            Some(Found::File(place)) => return Ok(place.clone()),
            Some(Found::Link(next)) => at = next,
            None => return Err(format!("`{name}` is missing")),
        }
    }
    Err(format!("`{name}` is a link to a link to a link"))
}

fn pick(items: Vec<Item>, name: Option<&str>, place: &str) -> Result<Item, ImageError> {
    let tags = |item: &Item| item.repo_tags.clone().unwrap_or_default();
    let available: Vec<String> = items.iter().flat_map(tags).collect();
    // `app:1` and `docker.io/library/app:1` are one name.
    let full =
        |name: &str| name.parse::<Reference>().map_or_else(|_| name.to_owned(), |name| name.to_string());
    let wanted = name.map(full);
    let is =
        |item: &Item| wanted.as_ref().is_none_or(|wanted| tags(item).iter().any(|tag| full(tag) == *wanted));
    let mut matching: Vec<Item> = items.into_iter().filter(is).collect();
    match (matching.pop(), matching.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => Err(ImageError::Choice { place: place.to_owned(), wanted: name.map(str::to_owned), available }),
    }
}
