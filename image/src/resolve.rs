//! From what people write to one image, every byte of which is known by its digest.

use std::sync::Arc;

use crate::manifest::{Blob, Choice, Document, MOST_BYTES, Manifest, OCI_INDEX};
use crate::source::{Archive, Layout, Source, offload};
use crate::{Digest, ImageConfig, ImageError, Pick, Platform, Reference, Registries};

/// An image for one platform. Nothing of it but its documents has been fetched.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// What was asked for.
    pub reference: Reference,
    /// Of the manifest for this platform: what decides everything about the image, and enters keys.
    pub manifest_digest: Digest,
    /// How programs are started in it.
    pub config: ImageConfig,
    /// The layers, the lowest first.
    pub layers: Vec<Layer>,
    /// The bytes that the digest is of.
    pub(crate) manifest_json: Vec<u8>,
    pub(crate) config_json: Vec<u8>,
    pub(crate) source: Source,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// As it is stored: possibly compressed.
    pub blob: Blob,
    /// Of the uncompressed archive.
    pub diff_id: Digest,
}

impl Resolved {
    /// The bytes of the manifest and of the configuration, as they are named by their digests.
    pub fn documents(&self) -> [&[u8]; 2] {
        [&self.manifest_json, &self.config_json]
    }
}

/// How deep indexes may be nested: an image layout, an index in it, and one more.
const DEPTH: usize = 3;

/// Finds the image for a platform. Of an index, the entry that suits best is taken.
///
/// # Errors
/// [`ImageError::Platform`] where there is none for this platform; everything else that [`ImageError`] says, except
/// what has to do with unpacking.
pub async fn resolve(
    reference: &Reference,
    platform: &Platform,
    registries: &Registries,
) -> Result<Resolved, ImageError> {
    resolve_for(reference, Some(platform), registries).await
}

/// The image with the manifest that the reference names, for whichever platform that is: it is not to run here.
///
/// # Errors
/// As [`resolve`], and [`ImageError::Document`] where it is an index.
pub async fn resolve_manifest(
    reference: &Reference,
    registries: &Registries,
) -> Result<Resolved, ImageError> {
    resolve_for(reference, None, registries).await
}

async fn resolve_for(
    reference: &Reference,
    platform: Option<&Platform>,
    registries: &Registries,
) -> Result<Resolved, ImageError> {
    let image = reference.to_string();
    let (source, bytes) = first(reference, registries, &image).await?;
    let (manifest, manifest_json) = descend(&source, bytes, platform, &image).await?;
    let config_json = source.small(&manifest.config, "configuration", &image, MOST_BYTES).await?;
    let config = ImageConfig::read(&config_json, &image)?;
    if let Some(platform) = platform.filter(|platform| config.platform.suits(platform).is_none()) {
        let available = vec![config.platform];
        return Err(ImageError::Platform { image, wanted: Box::new(platform.clone()), available });
    }
    if config.diff_ids.len() != manifest.layers.len() {
        let problem =
            format!("it names {} layers, the manifest {}", config.diff_ids.len(), manifest.layers.len());
        return Err(ImageError::document("configuration", &image, problem));
    }
    let layers = manifest.layers.iter().cloned().zip(&config.diff_ids);
    let layers = layers.map(|(blob, diff_id)| Layer { blob, diff_id: *diff_id }).collect();
    let manifest_digest = Digest::of(&manifest_json);
    let reference = reference.clone();
    Ok(Resolved { reference, manifest_digest, config, layers, manifest_json, config_json, source })
}

/// The document that the reference names.
async fn first(
    reference: &Reference,
    registries: &Registries,
    image: &str,
) -> Result<(Source, Vec<u8>), ImageError> {
    let (source, blob) = match reference.clone() {
        Reference::Registry(reference) => {
            if let Pick::Digest(digest) = &reference.which
                && let Some((local, part)) = registries.local(digest)
            {
                let blob = Blob { media_type: OCI_INDEX.to_owned(), digest: *digest, size: part.size };
                let source = Source::Local(local);
                let bytes = source.small(&blob, "manifest", image, MOST_BYTES).await?;
                return Ok((source, bytes));
            }
            let repository = Arc::new(registries.repository(&reference));
            let bytes = repository.manifest(&reference.which).await?;
            return Ok((Source::Registry(repository), bytes));
        }
        Reference::Layout { dir, which } => {
            let open = move || Layout::open(&dir, which.as_ref());
            let (layout, blob) = offload(image, open).await?;
            (Source::Layout(Arc::new(layout)), blob)
        }
        Reference::Archive { file, name } => {
            let open = move || Archive::open(&file, name.as_deref());
            let (archive, blob) = offload(image, open).await?;
            (Source::Archive(Arc::new(archive)), blob)
        }
    };
    let bytes = source.small(&blob, "manifest", image, MOST_BYTES).await?;
    Ok((source, bytes))
}

/// Follows indexes down to a manifest.
async fn descend(
    source: &Source,
    mut bytes: Vec<u8>,
    platform: Option<&Platform>,
    image: &str,
) -> Result<(Manifest, Vec<u8>), ImageError> {
    for _ in 0..=DEPTH {
        let choices = match Document::read(&bytes, image)? {
            Document::Manifest(manifest) => return Ok((manifest, bytes)),
            Document::Index(choices) => choices,
        };
        let Some(platform) = platform else {
            return Err(ImageError::document("manifest", image, "it is an index"));
        };
        let blob = choose(&choices, platform, image)?;
        bytes = match source {
            Source::Registry(repository) => repository.manifest(&Pick::Digest(blob.digest)).await?,
            source => source.small(blob, "manifest", image, MOST_BYTES).await?,
        };
    }
    Err(ImageError::document("index", image, format!("indexes are nested more than {DEPTH} deep")))
}

/// The entry that suits best; the first of several. One without a platform is taken where it is the only one, and
/// its configuration tells.
fn choose<'a>(choices: &'a [Choice], platform: &Platform, image: &str) -> Result<&'a Blob, ImageError> {
    if let [only] = choices
        && only.platform.is_none()
    {
        return Ok(&only.blob);
    }
    let suiting =
        choices.iter().filter_map(|choice| Some((choice.platform.as_ref()?.suits(platform)?, choice)));
    if let Some((_, best)) = suiting.min_by_key(|(distance, _)| *distance) {
        return Ok(&best.blob);
    }
    // What BuildKit says of an image stands beside it as an entry for no platform.
    let known = choices.iter().filter_map(|choice| choice.platform.clone());
    let available = known.filter(|platform| platform.os != "unknown").collect();
    Err(ImageError::Platform { image: image.to_owned(), wanted: Box::new(platform.clone()), available })
}
