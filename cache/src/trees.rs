//! Trees that a store keeps together.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;

use crate::packed::KeptTree;
use crate::{BlobStore, Moved, StoreError};

/// A store that may keep everything below a directory together, so that ten thousand files take a few requests. One that
/// keeps each blob by itself has nothing to add to these methods.
#[async_trait]
pub trait Trees: Debug + Send + Sync {
    /// Whether everything below this directory is there; none where only asking for each blob tells.
    async fn holds_tree(&self, _root: &Digest) -> Result<Option<bool>, StoreError> {
        Ok(None)
    }

    /// Stores a directory and everything below it, which `from` has, and says what had to be sent; none where blobs have to
    /// be stored one by one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where `from` lacks something of it. What was sent by then stays.
    async fn put_tree(&self, _root: &Digest, _from: &dyn BlobStore) -> Result<Option<Moved>, StoreError> {
        Ok(None)
    }

    /// What is below a directory and where it lies; none where it is not kept together.
    async fn tree(&self, _root: &Digest) -> Result<Option<Arc<KeptTree>>, StoreError> {
        Ok(None)
    }

    /// The blobs of one pack of a tree, unchecked, and how many bytes were moved for them.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], naming the root of the tree, where the pack is gone. The tree is then no longer kept.
    async fn pack(&self, tree: &KeptTree, _index: usize) -> Result<Pack, StoreError> {
        Err(StoreError::NotFound { digest: tree.root() })
    }
}

/// Blobs that came together.
#[derive(Debug, Clone, Default)]
pub struct Pack {
    /// What it has, unchecked.
    pub blobs: Vec<(Digest, Bytes)>,
    /// The bytes that were moved: fewer than the blobs have where they were compressed.
    pub moved: u64,
}
