//! Creating an object that is not there yet, so that of several who try one knows that it was the one.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutMode, PutPayload};

use super::Place;
use super::answers::Refusal;
use crate::StoreError;
use crate::objects::Created;

impl Place {
    /// Creates an object where there is none. Its bytes should be like nobody else's: where an answer is lost, they tell
    /// whose object it is.
    ///
    /// Some buckets write all the same and say nothing, so a bucket is first seen refusing a second object of ours.
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes) -> Result<Created, StoreError> {
        if let Some(files) = &self.files {
            return files.create(path, bytes).await;
        }
        if *self.creates.get_or_try_init(|| self.probe_create()).await? {
            self.create_unprobed(path, bytes).await
        } else {
            Ok(Created::Unsupported)
        }
    }

    /// Whether the bucket refuses to create what is there.
    async fn probe_create(&self) -> Result<bool, StoreError> {
        let path = self.probe(fastrand::u64(..));
        let first = self.create_unprobed(&path, Bytes::from_static(b"1")).await?;
        let second = self.create_unprobed(&path, Bytes::from_static(b"2")).await?;
        // What cannot be removed is a byte under a name that nobody uses again.
        let removed = self.request("delete from", || self.objects.delete(&path)).await;
        if let Err(error) = removed {
            tracing::debug!(%error, %path, "a probe stays");
        }
        let supported = (first, second) == (Created::Made, Created::Exists);
        if !supported {
            tracing::info!(place = self.name(), "conditional writes (If-None-Match) do nothing here");
        }
        Ok(supported)
    }

    async fn create_unprobed(&self, path: &Path, bytes: Bytes) -> Result<Created, StoreError> {
        let again = AtomicBool::new(false);
        let put = || async {
            let retry = again.swap(true, Ordering::Relaxed);
            let payload = PutPayload::from_bytes(bytes.clone());
            match self.objects.put_opts(path, payload, PutMode::Create.into()).await {
                Ok(_) => Ok(Created::Made),
                // An earlier attempt may have been the one, and only its answer was lost.
                Err(object_store::Error::AlreadyExists { .. }) if retry => {
                    let found = self.objects.get(path).await?.bytes().await?;
                    Ok(if found == bytes { Created::Made } else { Created::Exists })
                }
                Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::Exists),
                Err(error) if Refusal::of(&error).is_some_and(Refusal::is_not_implemented) => {
                    Ok(Created::Unsupported)
                }
                Err(error) => Err(error),
            }
        };
        self.must("store in", put).await
    }
}
