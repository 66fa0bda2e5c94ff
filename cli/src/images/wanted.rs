//! Images that somebody wants, and where they can be had.

use std::sync::atomic::AtomicU64;

use cullet_image::{Digest, Pick, Reference};
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
