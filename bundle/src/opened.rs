//! A bundle that is read, together with those that it continues.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cullet_cache::PublicKey;
use cullet_cache::mirror::Named;
use cullet_image::{Digest as BlobName, FilePart, LocalBlobs};
use serde::{Deserialize, Serialize};

use crate::archive::{self, Archive, INDEX, LAYOUT, MOST_DOCUMENT, PROGRAM, entry_of};
use crate::contents::VERSION;
use crate::objects::BundleObjects;
use crate::{BundleError, Contents, signature};

pub(crate) const LAYOUT_MARK: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const BUNDLE: &str = "application/vnd.cullet.bundle.v1";
pub(crate) const CONTENTS: &str = "application/vnd.cullet.bundle.contents.v1+json";
pub(crate) const BLOB: &str = "application/vnd.cullet.data.v1";
/// The name of an image in the index.
pub(crate) const NAME_KEY: &str = "org.opencontainers.image.ref.name";

/// What names a blob (OCI image-spec, `descriptor.md`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: BlobName,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// `index.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

impl Index {
    /// The one of a bundle with this manifest and these images.
    pub(crate) fn of(
        bundle: (BlobName, u64),
        signatures: BTreeMap<String, String>,
        images: Vec<Descriptor>,
    ) -> Self {
        let bundle = Descriptor {
            media_type: MANIFEST.to_owned(),
            digest: bundle.0,
            size: bundle.1,
            artifact_type: Some(BUNDLE.to_owned()),
            annotations: signatures,
        };
        let manifests = std::iter::once(bundle).chain(images).collect();
        Self { schema_version: 2, media_type: INDEX_TYPE.to_owned(), manifests }
    }
}

/// What names an image: `manifest` is its manifest, and `name` what the pipeline calls it.
pub(crate) fn image(manifest: &[u8], name: &str) -> Descriptor {
    /// What says what it is: of Docker's manifests there are several kinds.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        media_type: Option<String>,
    }
    let kind = serde_json::from_slice(manifest).ok().and_then(|kind: Kind| kind.media_type);
    Descriptor {
        media_type: kind.unwrap_or_else(|| MANIFEST.to_owned()),
        digest: BlobName::of(manifest),
        size: manifest.len() as u64,
        artifact_type: None,
        annotations: BTreeMap::from([(NAME_KEY.to_owned(), name.to_owned())]),
    }
}

/// A manifest, of the bundle or of an image.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default)]
    pub(crate) media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

/// A bundle, opened. Its documents are those of their digests; everything else is compared when it is read.
#[derive(Debug)]
pub struct Bundle {
    pub(crate) archive: Archive,
    pub(crate) digest: BlobName,
    pub(crate) manifest: Manifest,
    pub(crate) signatures: BTreeMap<String, String>,
    pub(crate) images: Vec<Descriptor>,
    contents: Contents,
    signers: Vec<PublicKey>,
    /// The one that it continues.
    base: Option<Arc<Self>>,
}

impl Bundle {
    /// Opens a bundle; `bases` are files of which one is the bundle that it continues, another one the bundle that that
    /// continues, and so on. Blocking.
    ///
    /// # Errors
    /// [`BundleError`]; [`BundleError::Base`] where one of these is not among `bases`.
    pub fn open(path: &Path, bases: &[PathBuf]) -> Result<Self, BundleError> {
        let mut opened = Self::open_alone(path)?;
        let bases = bases.iter().map(|path| Self::open_alone(path)).collect::<Result<Vec<_>, _>>()?;
        let mut bases: BTreeMap<BlobName, Self> = bases.into_iter().map(|base| (base.digest, base)).collect();
        // From the newest to the one that continues none: each is there once, so that this ends.
        let mut chain = Vec::new();
        let mut next = opened.contents.base;
        while let Some(digest) = next {
            let last: &Self = chain.last().unwrap_or(&opened);
            let missing = || BundleError::Base { path: last.path().to_owned(), base: digest.to_string() };
            let base = bases.remove(&digest).ok_or_else(missing)?;
            next = base.contents.base;
            chain.push(base);
        }
        let base = chain
            .into_iter()
            .rev()
            .fold(None, |below, bundle| Some(Arc::new(Self { base: below, ..bundle })));
        opened.base = base;
        Ok(opened)
    }

    /// Without what it continues.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn open_alone(path: &Path) -> Result<Self, BundleError> {
        let archive = Archive::open(path)?;
        let bad = |problem: String| BundleError::form(path, problem);
        let other = |name: &str| archive.other(name).ok_or_else(|| bad(format!("it has no {name}")));
        if archive::read(&other(LAYOUT)?, MOST_DOCUMENT, LAYOUT)? != LAYOUT_MARK.as_bytes() {
            return Err(BundleError::entry(path, LAYOUT, "says that this is another kind of layout"));
        }
        let bytes = archive::read(&other(INDEX)?, MOST_DOCUMENT, INDEX)?;
        let unreadable =
            |entry: &str, error| BundleError::entry(path, entry, format!("cannot be read: {error}"));
        let index: Index = serde_json::from_slice(&bytes).map_err(|error| unreadable(INDEX, error))?;
        let is_bundle = |entry: &Descriptor| entry.artifact_type.as_deref() == Some(BUNDLE);
        let (bundles, images): (Vec<_>, Vec<_>) = index.manifests.into_iter().partition(is_bundle);
        let [named] = &*bundles else {
            return Err(bad(format!("its index names {} bundles", bundles.len())));
        };
        let document = |named: &Descriptor| {
            archive::document(path, archive.blob(&named.digest), &named.digest, &entry_of(&named.digest))
        };
        let bytes = document(named)?;
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(&entry_of(&named.digest), error))?;
        let config = document(&manifest.config)?;
        let contents: Contents = serde_json::from_slice(&config)
            .map_err(|error| unreadable(&entry_of(&manifest.config.digest), error))?;
        if contents.version != VERSION {
            return Err(bad(format!("it has the form {}, and {VERSION} is known", contents.version)));
        }
        let digest = named.digest;
        let signers = signature::signers(&named.annotations, &digest);
        let signers = signers.map_err(|name| {
            let problem = format!("has an annotation '{name}' that is no signature of the bundle");
            BundleError::entry(path, INDEX, problem)
        })?;
        let signatures = named.annotations.clone();
        Ok(Self { archive, digest, manifest, signatures, images, contents, signers, base: None })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.archive.path()
    }

    /// The digest of its manifest: its name.
    pub const fn digest(&self) -> BlobName {
        self.digest
    }

    /// What is in it.
    pub const fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Who signed it.
    pub fn signers(&self) -> &[PublicKey] {
        &self.signers
    }

    /// The one that it continues, if that was given.
    pub fn base(&self) -> Option<&Self> {
        self.base.as_deref()
    }

    /// It, and those that it continues.
    pub(crate) fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |bundle| bundle.base())
    }

    /// Its results and trees, as a cache that is only read.
    pub fn objects(self: &Arc<Self>) -> Arc<dyn Named> {
        Arc::new(BundleObjects::new(Arc::clone(self)))
    }

    /// The bytes of a file of the project, compared with their digest. Blocking.
    ///
    /// # Errors
    /// It is not there, or damaged.
    pub fn file(&self, file: &crate::File) -> Result<Vec<u8>, BundleError> {
        let what = format!("{} ({})", entry_of(&file.blob), file.path);
        archive::document(self.path(), self.find(&file.blob), &file.blob, &what)
    }

    /// Where the program is.
    pub fn program(&self) -> Option<FilePart> {
        self.archive.other(PROGRAM)
    }

    /// Refuses a bundle that none of these signed.
    ///
    /// # Errors
    /// [`BundleError::Signature`].
    pub fn refuse_strangers(&self, trusted: &[PublicKey]) -> Result<(), BundleError> {
        for bundle in self.chain() {
            if bundle.signers.iter().any(|signer| trusted.contains(signer)) {
                continue;
            }
            let signers: Vec<String> = bundle.signers.iter().map(ToString::to_string).collect();
            let problem = match &*signers {
                [] => "nobody signed it".to_owned(),
                _ => format!("it is signed by {}, whom nobody here trusts", signers.join(" and ")),
            };
            return Err(BundleError::Signature { path: bundle.path().to_owned(), problem });
        }
        Ok(())
    }
}

/// Blobs of images, and of everything else.
impl LocalBlobs for Bundle {
    fn find(&self, digest: &BlobName) -> Option<FilePart> {
        self.chain().find_map(|bundle| bundle.archive.blob(digest))
    }
}
