//! Trees of the shared store, which never fail a run.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cullet_digest::Digest;

use super::breaker::is_trouble;
use super::guarded::{Guarded, LOOKUP, time_for};
use crate::objects::MOST_DATA;
use crate::{BlobStore, KeptTree, Moved, Pack, SharedBlobs, StoreError, Trees};

/// How long the record of a tree may take: it has everything that its directories say.
const TREE: Duration = Duration::from_secs(15);

/// How long a tree may take to be stored: each request has a deadline of its own, and of a tree there are many.
const STORE: Duration = Duration::from_secs(1800);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Trees for Guarded<dyn SharedBlobs> {
    /// Where it cannot be asked, each blob is; which is then not asked either.
    async fn holds_tree(&self, root: &Digest) -> Result<Option<bool>, StoreError> {
        Ok(self.reads.ask(LOOKUP, self.store.holds_tree(root)).await.unwrap_or_default())
    }

    async fn put_tree(&self, root: &Digest, from: &dyn BlobStore) -> Result<Option<Moved>, StoreError> {
        self.writes()?.ask(STORE, self.store.put_tree(root, from)).await
    }

    async fn tree(&self, root: &Digest) -> Result<Option<Arc<KeptTree>>, StoreError> {
        Ok(self.reads.ask(TREE, self.store.tree(root)).await.unwrap_or_default())
    }

    async fn pack(&self, tree: &KeptTree, index: usize) -> Result<Pack, StoreError> {
        let pack = self.reads.ask(LOOKUP + time_for(MOST_DATA), self.store.pack(tree, index)).await;
        pack.map_err(|error| match error {
            error if is_trouble(&error) => StoreError::NotFound { digest: tree.root() },
            error => error,
        })
    }
}
