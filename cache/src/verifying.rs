//! Every byte read is checked against its digest before anyone sees it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::{Digest, Hasher};

use crate::offload::offload;
use crate::{Blob, BlobStore, Discard, StoreError};

/// Checks what an inner store hands out. A damaged blob is dropped from it, so that it is missing from then on
/// and can be made or fetched again.
#[derive(Debug)]
pub struct Verifying {
    inner: Arc<dyn BlobStore>,
    discard: Arc<dyn Discard>,
}

impl Verifying {
    /// Checks what `inner` hands out; `discard` drops from it what is damaged.
    pub fn new(inner: Arc<dyn BlobStore>, discard: Arc<dyn Discard>) -> Self {
        Self { inner, discard }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for Verifying {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        self.inner.find_missing(digests).await
    }

    /// [`StoreError::Mismatch`] once for a damaged blob, [`StoreError::NotFound`] from then on.
    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        let expected = *digest;
        let (blob, actual) = match self.inner.get(digest).await? {
            Blob::Bytes(bytes) => {
                let actual = digest.function().digest(&bytes);
                (Blob::Bytes(bytes), actual)
            }
            Blob::Checked(file) => {
                let actual = *file.digest();
                (Blob::Checked(file), actual)
            }
            // A large one: stores hand out small ones in memory.
            Blob::File { file, path, len } => {
                offload(move || {
                    let failed = |error| StoreError::io("read", &path, error);
                    let (file, actual) = hash(expected, file).map_err(failed)?;
                    Ok((Blob::File { file, path, len }, actual))
                })
                .await?
            }
        };
        if actual == expected {
            return Ok(blob);
        }
        let discard = Arc::clone(&self.discard);
        offload(move || discard.discard(&expected)).await?;
        Err(StoreError::Mismatch { expected, actual })
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.inner.put(digest, blob).await
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        self.inner.put_small(blobs).await
    }
}

/// The file, back at its start, and what it holds.
fn hash(expected: Digest, mut file: File) -> io::Result<(File, Digest)> {
    let mut hasher = Hasher::new(expected.function());
    // One byte more than announced is enough to know that it is another blob.
    io::copy(&mut (&file).take(expected.size().saturating_add(1)), &mut hasher)?;
    file.rewind()?;
    Ok((file, hasher.finish()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use cullet_digest::DigestFunction;

    use super::*;
    use crate::disk::{DiskStore, OpenOptions};
    use crate::{MemoryStore, conformance};

    fn over_memory() -> (Arc<MemoryStore>, Verifying) {
        let inner = Arc::new(MemoryStore::new(64 << 20));
        (inner.clone(), Verifying::new(inner.clone(), inner))
    }

    #[tokio::test]
    async fn conforms() {
        conformance::blob_store(|| over_memory().1).await;
    }

    #[tokio::test]
    async fn a_damaged_blob_is_said_once_dropped_and_can_be_put_again() {
        let (inner, store) = over_memory();
        let digest = DigestFunction::Blake3.digest(b"right");
        inner.damage(&digest, Bytes::from_static(b"wrong"));
        let error = store.get(&digest).await.unwrap_err();
        assert!(matches!(error, StoreError::Mismatch { expected, .. } if expected == digest));
        assert!(matches!(store.get(&digest).await, Err(StoreError::NotFound { .. })));
        store.put(&digest, Bytes::from_static(b"right").into()).await.unwrap();
        assert_eq!(store.get(&digest).await.unwrap().into_bytes().unwrap(), "right");
    }

    #[tokio::test]
    async fn a_flipped_bit_in_a_large_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(DiskStore::open(&OpenOptions::new(dir.path())).unwrap());
        let store = Verifying::new(disk.clone(), disk.clone());
        let bytes = vec![7; 1 << 20];
        let digest = DigestFunction::Blake3.digest(&bytes);
        store.put(&digest, bytes.clone().into()).await.unwrap();
        let Blob::File { path, .. } = store.get(&digest).await.unwrap() else { panic!("expected a file") };
        let read = store.get(&digest).await.unwrap().into_bytes().unwrap();
        assert_eq!(read, bytes, "the file starts at its start");
        let mut flipped = bytes;
        flipped[500_000] ^= 4;
        std::fs::write(&path, flipped).unwrap();
        assert!(matches!(store.get(&digest).await, Err(StoreError::Mismatch { .. })));
        assert!(!path.exists());
    }
}
