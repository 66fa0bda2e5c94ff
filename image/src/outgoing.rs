//! Images on their way to a registry: documents as they are, so that their digests stay, and where the bytes of blobs are.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use crate::digest::Hasher;
use crate::manifest::{Blob, MOST_BYTES, OCI_INDEX, OCI_MANIFEST};
use crate::source::{Archive, FilePart, Layout, check, offload};
use crate::{Digest, ImageError, Pick, Reference, WrittenImage};

/// An image, or an index of images with all of them, that is on this machine.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where it is, for messages.
    pub(crate) name: String,
    /// Configurations and layers, each once.
    pub(crate) blobs: Vec<(Blob, Content)>,
    /// Manifests and indexes: each after those that it names, so that the last one is what was asked for.
    pub(crate) documents: Vec<OutgoingDocument>,
}

/// A manifest or an index.
#[derive(Debug, Clone)]
pub(crate) struct OutgoingDocument {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) bytes: Arc<[u8]>,
}

/// Where the bytes of a blob are.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Memory(Arc<[u8]>),
    File(FilePart),
}

/// As in what is read: a layout, an index in it, and one more.
const DEPTH: usize = 3;
/// The most documents of one index. Images for all platforms that there are, with what builders say of each, are sixty.
const MOST_DOCUMENTS: usize = 1000;

/// What a document refers to, whatever it is: what builders attach to images is pushed with them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Links {
    media_type: Option<String>,
    config: Option<Blob>,
    layers: Option<Vec<Blob>>,
    manifests: Option<Vec<Blob>>,
}

impl Outgoing {
    /// Opens a layout or an archive. An index is taken with everything in it; of an archive, the manifest is the one that
    /// it has as the image of a step.
    ///
    /// # Errors
    /// [`ImageError`], as far as it is about files of this machine; an image in a registry is an
    /// [`ImageError::Document`].
    pub async fn open(source: &Reference) -> Result<Self, ImageError> {
        let (name, source) = (source.to_string(), source.clone());
        let image = name.clone();
        offload(&name, move || match source {
            Reference::Layout { dir, which } => of_layout(image, &dir, which.as_ref()),
            Reference::Archive { file, name } => of_archive(image, &file, name.as_deref()),
            Reference::Registry(_) => {
                let problem = "it is in a registry, and what is pushed is a layout or an archive here";
                Err(ImageError::document("source", &image, problem))
            }
        })
        .await
    }

    /// Of the manifest or the index that the tag is to name.
    pub fn digest(&self) -> Option<Digest> {
        self.documents.last().map(|document| document.digest)
    }
}

impl From<&WrittenImage> for Outgoing {
    fn from(image: &WrittenImage) -> Self {
        let files = image.blobs.iter().map(|(blob, file)| {
            let place = FilePart { file: file.clone(), offset: 0, size: blob.size.saturating_add(1) };
            (blob.clone(), Content::File(place))
        });
        let (media_type, digest, bytes) =
            (image.media_type.clone(), image.digest, Arc::from(image.manifest.as_slice()));
        Self {
            name: image.digest.to_string(),
            blobs: files.collect(),
            documents: vec![OutgoingDocument { media_type, digest, bytes }],
        }
    }
}

fn of_layout(name: String, dir: &Path, which: Option<&Pick>) -> Result<Outgoing, ImageError> {
    let (layout, root) = Layout::open(dir, which)?;
    let mut walk = Walk { layout: &layout, name: &name, blobs: Vec::new(), documents: Vec::new() };
    walk.document(&root, DEPTH)?;
    let Walk { blobs, documents, .. } = walk;
    let mut seen = BTreeSet::new();
    let blobs = blobs.into_iter().filter(|blob| seen.insert(blob.digest)).map(|blob| {
        let place = layout.place(&blob.digest, blob.size);
        (blob, Content::File(place))
    });
    Ok(Outgoing { blobs: blobs.collect(), documents, name })
}

struct Walk<'a> {
    layout: &'a Layout,
    name: &'a str,
    blobs: Vec<Blob>,
    documents: Vec<OutgoingDocument>,
}

impl Walk<'_> {
    /// Adds a document after everything that it names.
    fn document(&mut self, blob: &Blob, depth: usize) -> Result<(), ImageError> {
        if self.documents.iter().any(|known| known.digest == blob.digest) {
            return Ok(());
        }
        let bad = |problem: String| ImageError::document("manifest", self.name, problem);
        if blob.size > MOST_BYTES {
            let (what, image) = ("manifest", self.name.to_owned());
            return Err(ImageError::TooLarge { what, image, limit: MOST_BYTES });
        }
        let bytes = self.layout.place(&blob.digest, blob.size).read("manifest", MOST_BYTES + 1)?;
        check(&bytes, &blob.digest, "manifest", self.name)?;
        let links: Links = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        let known = match (&links.layers, &links.manifests) {
            (Some(_), None) => OCI_MANIFEST,
            (None, Some(_)) => OCI_INDEX,
            _ => return Err(bad("it is neither one image nor an index of images".to_owned())),
        };
        if depth == 0 {
            return Err(bad(format!("indexes are nested more than {DEPTH} deep")));
        }
        for below in links.manifests.into_iter().flatten() {
            self.document(&below, depth - 1)?;
        }
        if self.documents.len() >= MOST_DOCUMENTS {
            let problem = format!("it has more than {MOST_DOCUMENTS} manifests");
            return Err(ImageError::document("index", self.name, problem));
        }
        self.blobs.extend(links.config.into_iter().chain(links.layers.into_iter().flatten()));
        let media_type = links.media_type.unwrap_or_else(|| known.to_owned());
        self.documents.push(OutgoingDocument { media_type, digest: blob.digest, bytes: bytes.into() });
        Ok(())
    }
}

fn of_archive(name: String, file: &Path, which: Option<&str>) -> Result<Outgoing, ImageError> {
    let (archive, manifest) = Archive::open(file, which)?;
    let bytes = archive.small(&manifest.digest);
    let bad = |problem: String| ImageError::document("manifest", &name, problem);
    let links: Links = serde_json::from_slice(bytes).map_err(|error| bad(error.to_string()))?;
    let mut seen = BTreeSet::new();
    let (config, layers) = (links.config.into_iter(), links.layers.into_iter().flatten());
    let mut blobs = Vec::new();
    for blob in config.chain(layers).filter(|blob| seen.insert(blob.digest)) {
        let content = match archive.place(&blob.digest) {
            Some(place) => Content::File(place),
            None => Content::Memory(archive.small(&blob.digest).into()),
        };
        blobs.push((blob, content));
    }
    let (media_type, digest) = (manifest.media_type, manifest.digest);
    let documents = vec![OutgoingDocument { media_type, digest, bytes: bytes.into() }];
    Ok(Outgoing { name, blobs, documents })
}

impl Content {
    /// Whether it is what the digest says, before a registry is given it: the registry would only say that it is not.
    /// Blocking.
    pub(crate) fn verify(&self, blob: &Blob, image: &str) -> Result<(), ImageError> {
        let (actual, size) = match self {
            Self::Memory(bytes) => (Digest::of(bytes), bytes.len() as u64),
            Self::File(place) => measure(place)?,
        };
        if actual != blob.digest {
            let (what, expected) = ("blob", blob.digest);
            return Err(ImageError::Damaged { what, image: image.to_owned(), expected, actual });
        }
        if size != blob.size {
            let problem = format!("it says that {} has {} bytes, and it has {size}", blob.digest, blob.size);
            return Err(ImageError::document("manifest", image, problem));
        }
        Ok(())
    }
}

fn measure(place: &FilePart) -> Result<(Digest, u64), ImageError> {
    let (mut source, mut hasher) = (place.open()?, Hasher::default());
    let mut buffer = vec![0; 256 << 10];
    loop {
        match source.read(&mut buffer).map_err(|error| ImageError::io("read", &place.file, error))? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let size = hasher.size();
    Ok((hasher.finish(), size))
}
