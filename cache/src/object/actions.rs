//! [`ActionCache`] over files of a directory.

use std::sync::Arc;

use async_trait::async_trait;
use cullet_digest::Digest;
use object_store::ObjectStoreExt as _;

use super::Place;
use super::files::{Files, Over, Small};
use crate::disk::record;
use crate::{ActionCache, ActionResult, Scope, StoreError};

/// Results of a scope, the protected one unless said otherwise, as files beside [`super::ObjectBlobs`]. Clones share everything.
#[derive(Debug, Clone)]
pub struct ObjectActions {
    place: Arc<Place>,
    files: Arc<Files>,
    scope: Option<[u8; 8]>,
}

impl ObjectActions {
    pub(super) fn new(place: &Arc<Place>, files: &Arc<Files>) -> Self {
        Self { place: Arc::clone(place), files: Arc::clone(files), scope: None }
    }

    /// Those of a scope, in a directory of its own.
    pub(crate) fn of(&self, scope: &Scope) -> Self {
        Self { scope: scope.id(), ..self.clone() }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for ObjectActions {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        let name = self.place.result(self.scope, action);
        let found = self.files.read_small(&name, record::LIMIT).await?;
        let Some(bytes) = found else { return Ok(None) };
        let result = record::decode(action, &bytes);
        if result.is_none() {
            // It stays until the step has run again: the next result takes its place.
            tracing::warn!(action = %action.short(), place = self.place.name(), "a damaged result is ignored");
        }
        Ok(result)
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        let (name, record) = (self.place.result(self.scope, action), record::encode(action, result));
        let record = Small { name, bytes: record.into(), over: Over::Replace };
        self.files.write(vec![record]).await
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        let path = self.place.result(self.scope, action);
        self.place.request("remove a result from", || self.place.objects.delete(&path)).await.map(drop)
    }
}
