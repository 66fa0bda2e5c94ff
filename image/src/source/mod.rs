//! Where the parts of an image come from.

mod archive;
mod layout;
mod local;

use std::path::Path;
use std::sync::Arc;

pub(crate) use archive::Archive;
pub(crate) use layout::Layout;
pub use local::{FilePart, LocalBlobs};

use crate::manifest::Blob;
use crate::registry::Repository;
use crate::{Digest, ImageError};

/// A place that has a whole image.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Registry(Arc<Repository>),
    Layout(Arc<Layout>),
    Archive(Arc<Archive>),
    Local(Arc<dyn LocalBlobs>),
}

impl Source {
    /// A document or a configuration: short, and whole when it is there. `what` and `image` are for messages.
    pub(crate) async fn small(
        &self,
        blob: &Blob,
        what: &'static str,
        image: &str,
        limit: u64,
    ) -> Result<Vec<u8>, ImageError> {
        if blob.size > limit {
            return Err(ImageError::TooLarge { what, image: image.to_owned(), limit });
        }
        let bytes = match self {
            Self::Registry(repository) => repository.small(blob).await?,
            Self::Layout(layout) => {
                let place = layout.place(&blob.digest, blob.size);
                // One byte more than there should be may be there.
                offload(image, move || place.read(what, limit + 1)).await?
            }
            Self::Archive(archive) => archive.small(&blob.digest).to_vec(),
            Self::Local(local) => {
                let place = local.find(&blob.digest);
                let absent = || ImageError::document(what, image, format!("{} is not there", blob.digest));
                let place = place.ok_or_else(absent)?;
                offload(image, move || place.read(what, limit)).await?
            }
        };
        check(&bytes, &blob.digest, what, image)?;
        Ok(bytes)
    }

    /// Tells places apart: that one cannot give a blob says nothing of another.
    pub(crate) fn key(&self) -> Digest {
        Digest::of(format!("{self:?}").as_bytes())
    }

    /// Where a layer is on this machine; nowhere if it has to be fetched.
    pub(crate) fn place(&self, blob: &Blob) -> Option<FilePart> {
        match self {
            Self::Registry(_) => None,
            Self::Layout(layout) => Some(layout.place(&blob.digest, blob.size)),
            Self::Archive(archive) => archive.place(&blob.digest),
            Self::Local(local) => local.find(&blob.digest),
        }
    }
}

/// Compares bytes with their name.
pub(crate) fn check(
    bytes: &[u8],
    expected: &Digest,
    what: &'static str,
    image: &str,
) -> Result<(), ImageError> {
    let actual = Digest::of(bytes);
    if actual == *expected {
        return Ok(());
    }
    Err(ImageError::Damaged { what, image: image.to_owned(), expected: *expected, actual })
}

/// Blocking work on a thread for it.
pub(crate) async fn offload<T: Send + 'static>(
    image: &str,
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    let ended = tokio::task::spawn_blocking(work).await;
    ended.map_err(|_| ImageError::Interrupted { image: image.to_owned() })?
}

/// All of a small file. Blocking.
pub(crate) fn read_file(path: &Path, what: &'static str, limit: u64) -> Result<Vec<u8>, ImageError> {
    let size = std::fs::metadata(path).map_err(|error| ImageError::io("read", path, error))?.len();
    FilePart { file: path.to_owned(), offset: 0, size }.read(what, limit)
}
