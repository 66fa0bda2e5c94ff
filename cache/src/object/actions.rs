//! [`ActionCache`] over objects.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutPayload};

use super::Place;
use super::files::{Over, Small};
use crate::disk::record;
use crate::{ActionCache, ActionResult, StoreError};

/// Results as objects beside [`super::ObjectBlobs`]. Clones share everything.
#[derive(Debug, Clone)]
pub struct ObjectActions {
    place: Arc<Place>,
}

impl ObjectActions {
    pub(crate) fn new(place: &Arc<Place>) -> Self {
        Self { place: Arc::clone(place) }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for ObjectActions {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        let name = self.place.result(action);
        let found = match &self.place.files {
            Some(files) => files.read_small(&name, record::LIMIT).await?,
            None => {
                let read = async {
                    let found = self.place.objects.get_opts(&name, Default::default()).await?;
                    if found.meta.size > record::LIMIT { Ok(Bytes::new()) } else { found.bytes().await }
                };
                self.place.request("look up a result in", read).await?
            }
        };
        let Some(bytes) = found else { return Ok(None) };
        let result = record::decode(action, &bytes);
        if result.is_none() {
            // It stays until the step has run again: the next result takes its place.
            tracing::warn!(action = %action.short(), place = self.place.name(), "a damaged result is ignored");
        }
        Ok(result)
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        let (name, record) = (self.place.result(action), record::encode(action, result));
        if let Some(files) = &self.place.files {
            let record = Small { name, bytes: record.into(), over: Over::Replace };
            return files.write(vec![record]).await;
        }
        let put = self.place.objects.put(&name, PutPayload::from(record));
        self.place.must("store a result in", put).await.map(drop)
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        let path = self.place.result(action);
        self.place.request("remove a result from", self.place.objects.delete(&path)).await.map(drop)
    }
}
