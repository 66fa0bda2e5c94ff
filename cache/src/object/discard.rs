//! Deleting objects that are not what their name says.

use cullet_digest::Digest;
use object_store::ObjectStoreExt as _;
use tokio::runtime::Handle;

use super::ObjectBlobs;
use crate::blob::is_the_empty_blob;
use crate::origin::sends_others;
use crate::{Discard, StoreError, blocking};

impl ObjectBlobs {
    /// Reads the object once more: what arrived wrong may have been damaged on its way.
    pub(super) async fn delete_if_damaged(&self, digest: &Digest) -> Result<(), StoreError> {
        if is_the_empty_blob(digest) {
            return Ok(());
        }
        if !sends_others(self, digest).await? {
            return Ok(());
        }
        tracing::warn!(blob = %digest.short(), place = self.place.name(), "a damaged blob is deleted");
        let (files, of) = (self.files.clone(), *digest);
        let forget = move || {
            // One that is right stays: it was the file that is damaged.
            let right =
                files.logs.read(&of).ok().flatten().is_none_or(|bytes| of.function().digest(&bytes) == of);
            if !right {
                files.logs.forget(&of);
            }
            Ok(())
        };
        self.files.run(forget).await?;
        let path = self.place.blob(digest);
        self.place.request("delete from", || self.place.objects.delete(&path)).await.map(drop)
    }
}

impl Discard for ObjectBlobs {
    fn discard(&self, digest: &Digest) -> Result<(), StoreError> {
        let no_runtime = |error| StoreError::remote("reach", self.place.name(), error);
        let runtime = Handle::try_current().map_err(no_runtime)?;
        let (store, of) = (self.clone(), *digest);
        blocking::wait(&runtime, async move { store.delete_if_damaged(&of).await })?
    }
}
