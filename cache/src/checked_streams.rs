//! Blobs that are checked while they are sent.

use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::{Digest, Hasher};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use quick_cache::sync::Cache;

use crate::offload::offload;
use crate::{Discard, Origin, Pieces, Stamp, StoreError};

/// Up to this many bytes are hashed where they are: less than a tenth of a millisecond.
const INLINE: usize = 128 << 10;

/// Files of which is remembered that they were checked.
const MOST_KNOWN: usize = 1 << 16;

/// Sends whole blobs before all of their bytes were seen. The last ones come only when all are known to be those of the
/// digest, so nobody takes another blob for this one. What is a file is read for that once in a process, as in the local
/// cache: bytes rot between processes far more often than within one, and who writes into a file changes its stamp.
#[derive(Debug, Clone)]
pub struct CheckedStreams {
    origin: Arc<dyn Origin>,
    discard: Arc<dyn Discard>,
    known: Arc<Cache<Digest, Stamp>>,
}

impl CheckedStreams {
    /// Sends what `origin` has; `discard` drops from it what is damaged.
    pub fn new(origin: Arc<dyn Origin>, discard: Arc<dyn Discard>) -> Self {
        Self { origin, discard, known: Arc::new(Cache::new(MOST_KNOWN)) }
    }

    /// The whole blob.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where it is not there; instead of the last bytes where it turns out to be damaged, and it is
    /// dropped then.
    pub async fn open(&self, digest: &Digest) -> Result<Pieces, StoreError> {
        let stamp = self.origin.stamp(digest).await?;
        let pieces = self.origin.open(digest, 0).await?;
        if self.is_known(digest, stamp) {
            return Ok(pieces);
        }
        let (of, hasher) = (self.clone(), Hasher::new(digest.function()));
        let checking = Checking { digest: *digest, pieces, of, stamp, hasher, held: None };
        Ok(stream::try_unfold(Some(checking), Checking::next).boxed())
    }

    /// The blob without its first bytes; none where it would have to be read from its start to be checked.
    ///
    /// # Errors
    /// The origin cannot be read.
    pub async fn open_known(&self, digest: &Digest, offset: u64) -> Result<Option<Pieces>, StoreError> {
        let stamp = self.origin.stamp(digest).await?;
        if self.is_known(digest, stamp) { self.origin.open(digest, offset).await.map(Some) } else { Ok(None) }
    }

    /// Remembers that what is sent for the digest now was checked by who stored it there.
    ///
    /// # Errors
    /// The origin cannot be read.
    pub async fn know(&self, digest: &Digest) -> Result<(), StoreError> {
        if let Some(stamp) = self.origin.stamp(digest).await? {
            self.known.insert(*digest, stamp);
        }
        Ok(())
    }

    fn is_known(&self, digest: &Digest, stamp: Option<Stamp>) -> bool {
        stamp.is_some() && self.known.get(digest) == stamp
    }
}

/// A blob on its way.
struct Checking {
    digest: Digest,
    pieces: Pieces,
    of: CheckedStreams,
    /// What is read, if that can be told.
    stamp: Option<Stamp>,
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
        let Self { digest, of, stamp, hasher, held, .. } = checking;
        let actual = hasher.finish();
        if actual == digest {
            stamp.into_iter().for_each(|stamp| of.known.insert(digest, stamp));
            return Ok(held.map(|last| (last, None)));
        }
        tracing::warn!(blob = %digest.short(), actual = %actual.short(), "a blob is damaged");
        offload(move || of.discard.discard(&digest)).await?;
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
    use std::time::{Duration, SystemTime};

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
            for _ in 0..2 {
                assert_eq!(read(&streams, &digest).await.unwrap(), bytes);
            }
            let hash = digest.hash_hex();
            let path = dir.path().join("shared/cas/sha256").join(&hash[..2]).join(format!("{hash}-{len}"));
            for wrong in [0, len / 2, len.saturating_sub(1)].into_iter().filter(|wrong| *wrong < len) {
                let mut damaged = bytes.clone();
                damaged[wrong] ^= 1;
                std::fs::write(&path, damaged).unwrap();
                // The clock of a filesystem may tick seldom.
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(SystemTime::now() + Duration::from_secs(10)).unwrap();
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
    async fn a_file_is_read_for_its_digest_once() {
        let dir = tempfile::tempdir().unwrap();
        let location = format!("file://{}", dir.path().join("shared").display());
        let cache = SharedCache::open(&location, &ObjectOptions::new(dir.path().join("spool"))).unwrap();
        let (streams, digest) = (cache.streams(), DigestFunction::Sha256.digest(b"0123456789"));
        assert!(streams.open_known(&digest, 3).await.unwrap().is_none(), "not there");
        let put = || cache.blobs.put(&digest, Bytes::from_static(b"0123456789").into());
        put().await.unwrap();
        assert!(streams.open_known(&digest, 3).await.unwrap().is_none(), "not checked");
        assert_eq!(read(&streams, &digest).await.unwrap(), b"0123456789");
        let rest = async |streams: &CheckedStreams| {
            let pieces: Option<Pieces> = streams.open_known(&digest, 3).await.unwrap();
            Some(pieces?.try_collect::<Vec<Bytes>>().await.unwrap().concat())
        };
        assert_eq!(rest(&streams).await.unwrap(), b"3456789");
        // Another file in its place has to be read again, also where it holds the same.
        let hash = digest.hash_hex();
        std::fs::remove_file(
            dir.path().join("shared/cas/sha256").join(&hash[..2]).join(format!("{hash}-10")),
        )
        .unwrap();
        put().await.unwrap();
        assert_eq!(rest(&streams).await, None);
        streams.know(&digest).await.unwrap();
        assert_eq!(rest(&streams).await.unwrap(), b"3456789");
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
