//! A directory in the form of the OCI image layout, read.
//!
//! Source: OCI image-spec, `image-layout.md`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{FilePart, read_file};
use crate::manifest::{Blob, Choice, Document, MOST_BYTES, OCI_INDEX};
use crate::{Digest, ImageError, Pick};

/// An opened layout.
#[derive(Debug)]
pub(crate) struct Layout {
    dir: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

impl Layout {
    /// Opens the directory and picks the image: by its name, by the digest of one of its documents, or the only one.
    /// Blocking.
    pub(crate) fn open(dir: &Path, which: Option<&Pick>) -> Result<(Self, Blob), ImageError> {
        let layout = Self { dir: dir.to_owned() };
        let place = format!("oci-layout:{}", dir.display());
        let marker = read_file(&dir.join("oci-layout"), "mark", MOST_BYTES)?;
        let bad = |problem: String| ImageError::document("layout", &place, problem);
        let marker: Marker = serde_json::from_slice(&marker).map_err(|error| bad(error.to_string()))?;
        if !marker.image_layout_version.starts_with("1.") {
            return Err(bad(format!("its version is {}, and 1 is known", marker.image_layout_version)));
        }
        let index = read_file(&dir.join("index.json"), "index", MOST_BYTES)?;
        let Document::Index(choices) = Document::read(&index, &place)? else {
            return Err(bad("index.json is no index".to_owned()));
        };
        let picked = pick(choices, which, &place)?;
        // A digest may also name a document that only another index names.
        let Some(Pick::Digest(digest)) = which.filter(|_| picked.is_none()) else {
            return picked.map(|blob| (layout, blob)).ok_or_else(|| bad("it has no image".to_owned()));
        };
        let size = std::fs::metadata(layout.path(digest))
            .map_err(|error| ImageError::io("read", layout.path(digest), error))?
            .len();
        let blob = Blob { media_type: OCI_INDEX.to_owned(), digest: *digest, size };
        Ok((layout, blob))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    pub(crate) fn place(&self, digest: &Digest, size: u64) -> FilePart {
        // A byte more, so that a blob that is longer than announced is not taken for whole.
        FilePart { file: self.path(digest), offset: 0, size: size.saturating_add(1) }
    }
}

/// The entry that was asked for; none where a digest was that no entry has.
fn pick(choices: Vec<Choice>, which: Option<&Pick>, place: &str) -> Result<Option<Blob>, ImageError> {
    let named = |choice: &Choice| choice.name.clone();
    let mut available: Vec<String> = choices
        .iter()
        .map(|choice| named(choice).unwrap_or_else(|| choice.blob.digest.to_string()))
        .collect();
    available.dedup();
    let wrong = |wanted: Option<String>| ImageError::Choice { place: place.to_owned(), wanted, available };
    let mut matching = match which {
        Some(Pick::Digest(digest)) => {
            return Ok(choices
                .into_iter()
                .find(|choice| choice.blob.digest == *digest)
                .map(|choice| choice.blob));
        }
        Some(Pick::Tag(tag)) => {
            let full = format!(":{tag}");
            let is = |name: &str| name == tag || name.ends_with(&full);
            choices.into_iter().filter(|choice| choice.name.as_deref().is_some_and(is)).collect::<Vec<_>>()
        }
        None => choices,
    };
    match (matching.pop(), matching.is_empty()) {
        (Some(only), true) => Ok(Some(only.blob)),
        _ => Err(wrong(which.map(Pick::to_string))),
    }
}
