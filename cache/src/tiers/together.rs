//! Trees that the shared store keeps together.

use std::sync::Arc;

use async_trait::async_trait;
use cullet_digest::Digest;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};

use super::{Inner, Moved, Tiers};
use crate::offload::offload;
use crate::{BlobStore, DiskStore, KeptTree, Pack, StoreError, Trees};

/// Packs on their way at the same time, of whichever trees: of each there are its bytes, and those that were sent.
pub(super) const PACKS: usize = 8;

impl Tiers {
    /// Brings a tree to the local disk, pack by pack; false where the shared store does not keep it together.
    ///
    /// # Errors
    /// As for [`Tiers::fetch`], about whichever part failed first.
    pub(super) async fn fetch_together(&self, root: &Digest) -> Result<bool, StoreError> {
        let (tiers, of) = (self.clone(), *root);
        let bring = async move {
            let Some(tree) = tiers.inner.shared.tree(&of).await? else { return Ok(false) };
            tiers.inner.keep_directories(Arc::clone(&tree)).await?;
            let packs = (0..tree.packs()).map(|index| tiers.inner.bring_pack(&tree, index));
            let packs = stream::iter(packs.collect::<Vec<_>>());
            packs.buffer_unordered(PACKS).try_collect::<()>().await?;
            tiers.fetch_all(tree.alone().to_vec()).await?;
            Ok(true)
        };
        self.inner.trees.run(root, || bring.boxed()).await
    }
}

impl Inner {
    async fn keep_directories(&self, tree: Arc<KeptTree>) -> Result<(), StoreError> {
        let disk = Arc::clone(&self.disk);
        offload(move || {
            for (digest, bytes) in tree.directories() {
                keep(&disk, digest, bytes)?;
            }
            Ok(())
        })
        .await
    }

    /// Brings what is missing of a pack.
    async fn bring_pack(&self, tree: &Arc<KeptTree>, index: usize) -> Result<(), StoreError> {
        let (disk, of) = (Arc::clone(&self.disk), Arc::clone(tree));
        let is_here = offload(move || {
            for blob in of.in_pack(index) {
                if !disk.has(blob)? {
                    return Ok(false);
                }
            }
            Ok(true)
        });
        if is_here.await? {
            return Ok(());
        }
        // Never closed, so the permit always comes.
        let _permit = self.packs.acquire().await;
        let Pack { blobs, moved } = self.shared.pack(tree, index).await?;
        let disk = Arc::clone(&self.disk);
        let kept = offload(move || {
            let mut kept = 0;
            for (digest, bytes) in blobs {
                kept += u64::from(keep(&disk, &digest, &bytes)?);
            }
            Ok(kept)
        })
        .await;
        let kept = match kept {
            Err(StoreError::Mismatch { expected, actual }) => {
                let shared = Arc::clone(&self.shared);
                offload(move || shared.discard(&expected)).await?;
                Err(StoreError::Mismatch { expected, actual })
            }
            kept => kept,
        };
        self.counters.from_shared.add(Moved { blobs: kept?, bytes: moved });
        Ok(())
    }
}

/// Stores a blob on the local disk, unless it is there; says whether it was not.
fn keep(disk: &DiskStore, digest: &Digest, bytes: &[u8]) -> Result<bool, StoreError> {
    if disk.has(digest)? {
        return Ok(false);
    }
    disk.put_bytes_blocking(digest, bytes)?;
    Ok(true)
}

/// What the shared store keeps together. What is on the local disk is not looked at: a tree that is only there may be
/// evicted while it is used elsewhere.
#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Trees for Tiers {
    async fn holds_tree(&self, root: &Digest) -> Result<Option<bool>, StoreError> {
        self.inner.shared.holds_tree(root).await
    }

    async fn put_tree(&self, root: &Digest, from: &dyn BlobStore) -> Result<Option<Moved>, StoreError> {
        self.inner.shared.put_tree(root, from).await
    }

    async fn tree(&self, root: &Digest) -> Result<Option<Arc<KeptTree>>, StoreError> {
        self.inner.shared.tree(root).await
    }

    async fn pack(&self, tree: &KeptTree, index: usize) -> Result<Pack, StoreError> {
        self.inner.shared.pack(tree, index).await
    }
}
