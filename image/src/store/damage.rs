//! Blobs whose bytes are no longer those of their names: removed, so that they are fetched again.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::lock::Lock;
use super::{Store, clean, evict};
use crate::digest::Hasher;
use crate::layer::LayerError;
use crate::manifest::Blob;
use crate::source::offload;
use crate::{Digest, ImageError, Resolved};

/// What [`Store::verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Blobs that were read.
    pub blobs: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Those that were removed.
    pub damaged: Vec<Digest>,
}

impl Store {
    /// Reads every blob of a directory, which need not be there, and removes the damaged ones. Unpacked layers are not
    /// looked at: nothing says what should be in them. Blocking.
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub fn verify(dir: &Path) -> Result<Verified, ImageError> {
        let mut verified = Verified::default();
        for (name, path) in evict::list(&dir.join("blobs/sha256"))? {
            let Ok(digest) = format!("sha256:{name}").parse::<Digest>() else { continue };
            let (actual, bytes) = match hash(&path) {
                // Evicted meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                hashed => hashed.map_or((None, 0), |(actual, bytes)| (Some(actual), bytes)),
            };
            verified.blobs += 1;
            verified.bytes += bytes;
            if actual == Some(digest) {
                continue;
            }
            // Whoever has the lock is about to put it there anew, or to find the damage, too.
            if let Some(_lock) = Lock::take(&dir.join("locks").join(&name))? {
                clean::remove(&path, None)?;
                verified.damaged.push(digest);
            }
        }
        Ok(verified)
    }

    /// Whether `error` may come from damage to the blob as it is stored here, and it is gone now: then it can be fetched
    /// again.
    pub(super) async fn drop_damaged(
        &self,
        image: &Resolved,
        blob: &Blob,
        error: &ImageError,
    ) -> Result<bool, ImageError> {
        let may_be = match error {
            ImageError::Damaged { .. } => true,
            ImageError::Layer { source, .. } => {
                !matches!(**source, LayerError::Io { .. } | LayerError::Cancelled)
            }
            _ => false,
        };
        if !may_be || image.source.place(blob).is_some() {
            return Ok(false);
        }
        let (path, digest) = (self.blob_path(&blob.digest), blob.digest);
        let lock = self.shared.lock(&digest.hex()).await?;
        offload(&image.reference.to_string(), move || {
            let _lock = lock;
            remove_if_damaged(&path, &digest)
        })
        .await
    }

    /// Removes the blob if it is damaged and `file` is where it is stored here: the next one who wants it fetches it again.
    /// Blocking.
    pub(crate) fn forget_damaged(&self, digest: &Digest, file: &Path) {
        let path = self.blob_path(digest);
        if path != file {
            return;
        }
        let removed = Lock::take(&self.shared.dir.join("locks").join(digest.hex()))
            .and_then(|lock| lock.map_or(Ok(false), |_lock| remove_if_damaged(&path, digest)));
        if let Err(error) = removed {
            tracing::debug!(path = %path.display(), %error, "a damaged blob cannot be removed");
        }
    }
}

/// For whoever has its lock: false where it is what it should be.
fn remove_if_damaged(path: &Path, digest: &Digest) -> Result<bool, ImageError> {
    match hash(path) {
        Ok((actual, _)) if actual == *digest => Ok(false),
        // Bytes that cannot be read are as bad as wrong ones.
        _ => clean::remove(path, None).map(|()| true),
    }
}

const CHUNK: usize = 256 << 10;

fn hash(path: &Path) -> io::Result<(Digest, u64)> {
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, Hasher::default(), vec![0; CHUNK]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    let bytes = hasher.size();
    Ok((hasher.finish(), bytes))
}
