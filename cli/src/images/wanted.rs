//! Images that somebody wants, and where they can be had.

use std::sync::atomic::AtomicU64;

use cullet_image::{Digest, Pick, Reference, Registries};
use cullet_worker::ImageFault;
use tokio::sync::Mutex;

use super::root_error::RootError;

/// An image, while somebody wants it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) digest: Digest,
    /// What the pipeline calls it, and where it can be had by that; files and directories are absolute, registries are
    /// asked for the digest.
    pub(super) references: Vec<(String, Reference)>,
    /// Held by whoever fetches it, with the failure of the last who did.
    pub(super) fetching: Mutex<Option<RootError>>,
    /// How often that was tried in vain.
    pub(super) failures: AtomicU64,
}

impl Wanted {
    pub(super) fn new(digest: Digest) -> Self {
        let (references, fetching, failures) = Default::default();
        Self { digest, references, fetching, failures }
    }

    /// It can be had there, which is called `name`.
    pub(super) fn is_at(&mut self, name: String, reference: Reference) {
        self.references.push((name, pinned_reference(reference, self.digest)));
    }
}

impl Wanted {
    /// Where it can be had: first of all from what was brought along.
    pub(super) fn places(&self, registries: &Registries) -> Vec<(String, Reference)> {
        let name = self.references.first().map_or_else(|| self.digest.to_string(), |(name, _)| name.clone());
        let here = registries.has_local(&self.digest).then(|| brought(self.digest)).flatten();
        here.map(|here| (name, here)).into_iter().chain(self.references.iter().cloned()).collect()
    }
}

/// An image that was brought along, whatever it is called. No registry has that name (RFC 2606).
pub(super) fn brought(digest: Digest) -> Option<Reference> {
    format!("bundle.invalid/image@{digest}").parse().ok()
}

/// Nobody knows of such an image.
pub(super) fn unknown(manifest: &str) -> ImageFault {
    ImageFault::permanent(RootError::Unknown(manifest.to_owned()))
}

/// A tag may have moved since it was pinned; the digest says which image is meant.
pub(super) fn pinned_reference(reference: Reference, digest: Digest) -> Reference {
    match reference {
        Reference::Registry(mut image) => {
            image.which = Pick::Digest(digest);
            Reference::Registry(image)
        }
        local => local,
    }
}
