//! The blobs of both places for who only wants to know what is there.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;

use crate::offload::offload;
use crate::{Blob, BlobStore, DiskStore, StoreError};

/// Looks at blobs without using them: what is here is not kept from being evicted by that, and nothing is brought here.
/// A run asks about all that earlier ones found. Were that a use, the disk could be full of what the run holds and does not
/// need.
#[derive(Debug)]
pub(super) struct Looking {
    pub(super) disk: Arc<DiskStore>,
    /// What is there, checked.
    pub(super) shared: Arc<dyn BlobStore>,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for Looking {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let (disk, asked) = (Arc::clone(&self.disk), digests.to_vec());
        let look = move || Ok(asked.into_iter().filter(|digest| !disk.shows(digest)).collect::<Vec<_>>());
        let missing = offload(look).await?;
        if missing.is_empty() { Ok(missing) } else { self.shared.find_missing(&missing).await }
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        let (disk, of) = (Arc::clone(&self.disk), *digest);
        match offload(move || disk.look(&of)).await? {
            Some(bytes) => Ok(bytes.into()),
            None => self.shared.get(digest).await,
        }
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.disk.put(digest, blob).await
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        self.disk.put_small(blobs).await
    }
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;
    use crate::testing::Kept;
    use crate::{MemoryStore, OpenOptions, conformance};

    fn looking() -> Kept<Looking> {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        let disk = Arc::new(DiskStore::open(&OpenOptions::new(dir.path())).unwrap());
        Kept(Looking { disk, shared: Arc::new(MemoryStore::new(64 << 20)) }, dir)
    }

    #[tokio::test]
    async fn conforms() {
        conformance::blob_store(looking).await;
    }

    #[tokio::test]
    async fn what_is_looked_at_is_neither_used_nor_brought_here() {
        let Kept(looking, dir) = looking();
        let [here, there, nowhere] =
            ["here", "there", "nowhere"].map(|text| DigestFunction::Blake3.digest(text.as_bytes()));
        looking.put(&here, Bytes::from_static(b"here").into()).await.unwrap();
        looking.shared.put(&there, Bytes::from_static(b"there").into()).await.unwrap();
        // What one process has used another one has not.
        let options = OpenOptions { bound: 4096, ..OpenOptions::new(dir.path()) };
        let Looking { disk, shared } = looking;
        drop(disk);
        let looking = Looking { disk: Arc::new(DiskStore::open(&options).unwrap()), shared };
        let _live = looking.disk.live_run().unwrap();
        assert_eq!(looking.find_missing(&[here, there, nowhere]).await.unwrap(), [nowhere]);
        assert_eq!(looking.get(&here).await.unwrap().into_bytes().unwrap(), "here");
        assert_eq!(looking.get(&there).await.unwrap().into_bytes().unwrap(), "there");
        assert!(!looking.disk.has(&there).unwrap());
        looking.disk.gc(0).unwrap();
        assert_eq!(looking.find_missing(&[here, there]).await.unwrap(), [here]);
    }
}
