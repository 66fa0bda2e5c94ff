//! Blobs that are checked while they are sent.

use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::{Digest, Hasher};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::offload::offload;
use crate::{Discard, Origin, Pieces, StoreError};

/// Up to this many bytes are hashed where they are: less than a tenth of a millisecond.
const INLINE: usize = 128 << 10;

/// Sends whole blobs before all of their bytes were seen. The last ones come only when all are known to be those of the
/// digest, so nobody takes another blob for this one.
#[derive(Debug, Clone)]
pub struct CheckedStreams {
    origin: Arc<dyn Origin>,
    discard: Arc<dyn Discard>,
}

impl CheckedStreams {
    /// Sends what `origin` has; `discard` drops from it what is damaged.
    pub fn new(origin: Arc<dyn Origin>, discard: Arc<dyn Discard>) -> Self {
        Self { origin, discard }
    }

    /// The whole blob.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where it is not there; instead of the last bytes where it turns out to be damaged, and it is
    /// dropped then.
    pub async fn open(&self, digest: &Digest) -> Result<Pieces, StoreError> {
        let pieces = self.origin.open(digest, 0).await?;
        let discard = Arc::clone(&self.discard);
        let hasher = Hasher::new(digest.function());
        let checking = Checking { digest: *digest, pieces, discard, hasher, held: None };
        Ok(stream::try_unfold(Some(checking), Checking::next).boxed())
    }
}

/// A blob on its way.
struct Checking {
    digest: Digest,
    pieces: Pieces,
    discard: Arc<dyn Discard>,
    hasher: Hasher,
    /// What comes before the bytes that were hashed last.
    held: Option<Bytes>,
}

impl Checking {
    /// The next bytes, and what is left after them.
    async fn next(checking: Option<Self>) -> Result<Option<(Bytes, Option<Self>)>, StoreError> {
        let Some(mut checking) = checking else { return Ok(None) };
        while let Some(piece) = checking.pieces.try_next().await? {
            checking.hasher = hashed(checking.hasher, &piece).await?;
            if checking.hasher.size() > checking.digest.size() {
                break;
            }
            if let Some(before) = checking.held.replace(piece) {
                return Ok(Some((before, Some(checking))));
            }
        }
        let Self { digest, discard, hasher, held, .. } = checking;
        let actual = hasher.finish();
        if actual == digest {
            return Ok(held.map(|last| (last, None)));
        }
        tracing::warn!(blob = %digest.short(), actual = %actual.short(), "a blob is damaged");
        offload(move || discard.discard(&digest)).await?;
        Err(StoreError::NotFound { digest })
    }
}

async fn hashed(mut hasher: Hasher, piece: &Bytes) -> Result<Hasher, StoreError> {
    if piece.len() <= INLINE {
        hasher.update(piece);
        return Ok(hasher);
    }
    let piece = piece.clone();
    offload(move || {
        hasher.update(&piece);
        Ok(hasher)
    })
    .await
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;
    use crate::{BlobStore as _, MemoryStore, ObjectOptions, SharedCache};

    /// All bytes, or those that came before the error.
    async fn read(streams: &CheckedStreams, digest: &Digest) -> Result<Vec<u8>, (usize, StoreError)> {
        let mut read = Vec::new();
        let mut pieces = streams.open(digest).await.map_err(|error| (0, error))?;
        loop {
            match pieces.try_next().await {
                Ok(Some(piece)) => read.extend_from_slice(&piece),
                Ok(None) => return Ok(read),
                Err(error) => return Err((read.len(), error)),
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_damaged_never_comes_to_its_end_and_is_gone_then() {
        let dir = tempfile::tempdir().unwrap();
        let location = format!("file://{}", dir.path().join("shared").display());
        let cache = SharedCache::open(&location, &ObjectOptions::new(dir.path().join("spool"))).unwrap();
        let streams = cache.streams();
        for len in [0, 1, INLINE, INLINE + 1, 1_000_000] {
            let bytes: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
            let digest = DigestFunction::Sha256.digest(&bytes);
            cache.blobs.put(&digest, bytes.clone().into()).await.unwrap();
            assert_eq!(read(&streams, &digest).await.unwrap(), bytes);
            let hash = digest.hash_hex();
            let path = dir.path().join("shared/cas/sha256").join(&hash[..2]).join(format!("{hash}-{len}"));
            for wrong in [0, len / 2, len.saturating_sub(1)].into_iter().filter(|wrong| *wrong < len) {
                let mut damaged = bytes.clone();
                damaged[wrong] ^= 1;
                std::fs::write(&path, damaged).unwrap();
                let (read_before, error) = read(&streams, &digest).await.unwrap_err();
                assert!(matches!(error, StoreError::NotFound { digest: gone } if gone == digest), "{error}");
                assert!(read_before < len, "{read_before} of {len}");
                assert!(!path.exists());
                assert_eq!(read(&streams, &digest).await.unwrap_err().0, 0);
                cache.blobs.put(&digest, bytes.clone().into()).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn more_bytes_than_announced_are_another_blob() {
        let store = Arc::new(MemoryStore::new(1 << 20));
        let digest = DigestFunction::Blake3.digest(b"right");
        store.damage(&digest, Bytes::from_static(b"right and more"));
        let streams = CheckedStreams::new(store.clone(), store.clone());
        assert!(matches!(read(&streams, &digest).await, Err((0, StoreError::NotFound { .. }))));
        assert_eq!(store.find_missing(&[digest]).await.unwrap(), [digest], "dropped");
    }
}
