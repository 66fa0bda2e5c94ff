//! [`Trees`] over objects.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use futures_util::FutureExt as _;

use super::data::Useless;
use super::kept_tree::KeptTree;
use super::{PackedBlobs, cut};
use crate::offload::offload;
use crate::trees::{Pack, Trees};
use crate::{Area, BlobStore, Moved, RecordName, StoreError};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Trees for PackedBlobs {
    async fn holds_tree(&self, root: &Digest) -> Result<Option<bool>, StoreError> {
        self.inner.objects.has_record(&RecordName::new(Area::Tree, *root)).await.map(Some)
    }

    async fn put_tree(&self, root: &Digest, from: &dyn BlobStore) -> Result<Option<Moved>, StoreError> {
        self.store_tree(root, from).await
    }

    async fn tree(&self, root: &Digest) -> Result<Option<Arc<KeptTree>>, StoreError> {
        self.read_tree(root).await
    }

    async fn pack(&self, tree: &KeptTree, index: usize) -> Result<Pack, StoreError> {
        let Some(place) = tree.place(index) else { return Ok(Pack::default()) };
        let (bytes, moved) = match &place.data {
            None => (place.inline.clone(), 0),
            Some(data) => match self.data(data, cut::MOST).await {
                Ok(bytes) => (bytes, data.size()),
                Err(StoreError::NotFound { .. }) => return Err(self.lost(tree, Useless::LacksData).await),
                Err(error) => return Err(error),
            },
        };
        let mut offset = 0_usize;
        let mut blobs = Vec::with_capacity(place.blobs.len());
        for blob in &place.blobs {
            let Some(part) = slice(&bytes, offset as u64, blob.size()) else {
                return Err(self.lost(tree, Useless::IsWrong).await);
            };
            offset += part.len();
            blobs.push((*blob, part));
        }
        Ok(Pack { blobs, moved })
    }
}

impl PackedBlobs {
    /// The tree below this root, if there is a record of it.
    pub(super) async fn read_tree(&self, root: &Digest) -> Result<Option<Arc<KeptTree>>, StoreError> {
        if let Some(tree) = self.inner.trees.get(root) {
            return Ok(Some(tree));
        }
        let (store, root) = (self.clone(), *root);
        let read = async move {
            let name = RecordName::new(Area::Tree, root);
            let Some(record) = store.inner.objects.record(&name).await? else { return Ok(None) };
            let Some(tree) = offload(move || Ok(KeptTree::decode(root, &record))).await? else {
                store.forget(Area::Tree, &root, Useless::IsWrong).await;
                return Ok(None);
            };
            let tree = Arc::new(tree);
            store.remember(&tree);
            Ok(Some(tree))
        };
        self.inner.reading_trees.run(&root, || read.boxed()).await
    }

    /// A tree of which something is gone is no tree.
    pub(super) async fn lost(&self, tree: &KeptTree, why: Useless) -> StoreError {
        self.forget(Area::Tree, &tree.root(), why).await;
        StoreError::NotFound { digest: tree.root() }
    }
}

/// The part of a pack that a blob is.
pub(super) fn slice(bytes: &Bytes, offset: u64, len: u64) -> Option<Bytes> {
    let (start, len) = (usize::try_from(offset).ok()?, usize::try_from(len).ok()?);
    let end = start.checked_add(len).filter(|end| *end <= bytes.len())?;
    Some(bytes.slice(start..end))
}
