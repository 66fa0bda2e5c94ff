//! [`ActionCache`] over objects.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use cullet_digest::Digest;

use super::{PackedBlobs, points};
use crate::collect;
use crate::disk::record;
use crate::trees::Trees as _;
use crate::{ActionCache, ActionResult, Area, ObjectName, Objects, RecordName, Scope, StoreError, Verifying};

/// Results as records beside [`PackedBlobs`]. Clones share everything.
#[derive(Debug, Clone)]
pub struct PackedActions {
    pub(super) objects: Arc<dyn Objects>,
    blobs: PackedBlobs,
    pub(super) scope: Option<[u8; 8]>,
}

impl PackedActions {
    /// Results of a scope whose blobs are in `blobs`.
    pub fn new(blobs: &PackedBlobs, scope: &Scope) -> Self {
        Self::of_scope(blobs, scope.id())
    }

    /// Results of the scope that has this [id](Scope::id).
    pub(crate) fn of_scope(blobs: &PackedBlobs, scope: Option<[u8; 8]>) -> Self {
        Self { objects: Arc::clone(&blobs.inner.objects), blobs: blobs.clone(), scope }
    }

    /// When the action's result was removed by garbage collection, as far as that is remembered.
    pub(crate) async fn evicted(&self, action: &Digest) -> Result<Option<SystemTime>, StoreError> {
        collect::evicted(&*self.objects, &self.name(action)).await
    }

    fn name(&self, action: &Digest) -> RecordName {
        RecordName { area: Area::Result, scope: self.scope, about: *action }
    }

    /// Sees to it that what a result points to is still there, however long ago it was found or stored.
    ///
    /// # Errors
    /// A tree was removed meanwhile, or a blob that no tree has: all of it has to be stored again.
    async fn complete(&self, result: &ActionResult) -> Result<(), StoreError> {
        let roots: HashSet<Digest> = result.directories().collect();
        let name = |digest: Digest| {
            let area = if roots.contains(&digest) { Area::Tree } else { Area::Blob };
            ObjectName::Record(RecordName::new(area, digest))
        };
        let names: Vec<ObjectName> = result.digests().filter(|digest| !digest.is_empty()).map(name).collect();
        let gone = self.objects.gone(&names).await?;
        let removed = || {
            let why = "what the result points to was removed by garbage collection meanwhile";
            StoreError::remote("record a result in", self.objects.place(), why)
        };
        let mut trees = Vec::new();
        for root in roots {
            let is_gone = gone.contains(&ObjectName::Record(RecordName::new(Area::Tree, root)));
            if !is_gone && let Some(tree) = self.blobs.tree(&root).await? {
                trees.push(tree);
                continue;
            }
            match self.keep_together(&root).await {
                Ok(()) => trees.extend(self.blobs.tree(&root).await?),
                // Where nobody collects anything, it is for whoever looks the result up to see that it is not whole.
                Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) if !is_gone => {}
                Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => return Err(removed()),
                Err(error) => return Err(error),
            }
        }
        for gone in &gone {
            // A tree may have it, but that may go before the result does if it is none that the result names.
            if let ObjectName::Record(RecordName { area: Area::Blob, about, .. }) = gone
                && !self.blobs.set_apart(about, &trees).await?
            {
                return Err(removed());
            }
        }
        Ok(())
    }

    /// Makes a tree of a directory whose blobs came one by one, as they do from whoever reaches the store through somebody
    /// else: whoever finds the result asks once whether all of it is there, and fetches it in few requests.
    async fn keep_together(&self, root: &Digest) -> Result<(), StoreError> {
        let blobs = Arc::new(self.blobs.clone());
        self.blobs.store_tree(root, &Verifying::new(blobs.clone(), blobs)).await.map(drop)
    }

    /// All data that a result stands on, as far as that can be told: for the garbage collector of a store that has one.
    async fn needs(&self, result: &ActionResult) -> Result<Vec<Digest>, StoreError> {
        let mut needs = Vec::new();
        let mut blobs: Vec<Digest> = result.digests().collect();
        for root in result.directories() {
            if let Some(tree) = self.blobs.tree(&root).await? {
                blobs.retain(|blob| *blob != root);
                blobs.extend(tree.alone());
                needs.extend(tree.needs());
            }
        }
        for blob in blobs.iter().filter(|blob| points::may_have_pieces(blob)) {
            let record = self.objects.record(&RecordName::new(Area::Blob, *blob)).await?;
            needs.extend(record.iter().flat_map(|record| points::of_blob(*blob, record).data()));
        }
        needs.sort_unstable();
        needs.dedup();
        Ok(needs)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for PackedActions {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        let Some(bytes) = self.objects.record(&self.name(action)).await? else {
            return Ok(None);
        };
        let result = record::decode(action, &bytes);
        if result.is_none() {
            // It stays until the step has run again: the next result takes its place.
            tracing::warn!(action = %action.short(), place = self.objects.place(), "a damaged result is ignored");
        }
        Ok(result)
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        self.complete(result).await?;
        let needs = self.needs(result).await?;
        let record = record::encode(action, result).into();
        self.objects.put_record(&self.name(action), record, &needs).await
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.objects.remove_record(&self.name(action)).await
    }
}
