//! Data, checked, and what becomes of records that point to what is gone.

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::recipe::Piece;
use super::{PackedBlobs, cut, frame, points};
use crate::objects::MOST_DATA;
use crate::offload::offload;
use crate::{Area, RecordName, StoreError};

/// Data of a record that is no more that is looked at at the same time.
const CHECKS: usize = 4;

/// Up to this many bytes are hashed where they are.
const INLINE: usize = 64 << 10;

impl PackedBlobs {
    /// The bytes that data was made of, which are at most `most`. Checked; what is damaged is removed, so that it can be
    /// stored again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is no such data.
    pub(super) async fn data(&self, digest: &Digest, most: u64) -> Result<Bytes, StoreError> {
        let objects = &self.inner.objects;
        if let Some(bytes) = opened(objects.data(digest).await?, *digest, most).await? {
            return Ok(bytes);
        }
        // It may have been damaged on its way.
        if let Some(bytes) = opened(objects.data(digest).await?, *digest, most).await? {
            return Ok(bytes);
        }
        tracing::warn!(data = %digest.short(), place = objects.place(), "damaged data is removed");
        self.gone(objects.remove_data(digest).await);
        Err(StoreError::NotFound { digest: *digest })
    }

    /// The bytes of a pack, kept for those who want another blob of it.
    pub(super) async fn pack_bytes(&self, data: &Digest) -> Result<Bytes, StoreError> {
        if let Some(bytes) = self.inner.packs.get(data) {
            return Ok(bytes);
        }
        let (store, of) = (self.clone(), *data);
        let read = async move {
            let bytes = store.data(&of, cut::MOST).await?;
            store.inner.packs.insert(of, bytes.clone());
            Ok(bytes)
        };
        self.inner.reading_packs.run(data, || read.boxed()).await
    }

    /// The bytes of one piece of this blob.
    pub(super) async fn piece(&self, blob: Digest, piece: Piece) -> Result<Bytes, StoreError> {
        let read = self.data(&piece.data(), piece.len.into()).await;
        match read {
            Ok(bytes) if bytes.len() == piece.len as usize => Ok(bytes),
            Ok(_) | Err(StoreError::NotFound { .. }) => {
                self.forget(Area::Blob, &blob).await;
                Err(StoreError::NotFound { digest: blob })
            }
            Err(error) => Err(error),
        }
    }

    /// Removes a record that points to what is not there, and what else is damaged of that to which it points: whoever stores
    /// it again sends only what is not there.
    pub(super) async fn forget(&self, area: Area, about: &Digest) {
        let (store, of) = (self.clone(), *about);
        // Several may find something of it missing at the same time, and each goes on when all of it was looked at.
        self.inner.forgetting.run(about, || async move { store.forget_once(area, &of).await }.boxed()).await;
    }

    async fn forget_once(&self, area: Area, about: &Digest) {
        let place = self.inner.objects.place();
        tracing::warn!(area = area.name(), about = %about.short(), place, "a record that lacks data is removed");
        let needs = self.needs_of(area, about).await;
        self.inner.trees.remove(about);
        let removed = self.inner.objects.remove_record(&RecordName::new(area, *about)).await;
        if removed.is_ok() {
            let checks = needs.iter().map(|data| async move { drop(self.data(data, MOST_DATA).await) });
            stream::iter(checks.collect::<Vec<_>>()).buffer_unordered(CHECKS).collect::<()>().await;
        }
        self.gone(removed);
    }

    /// The data that a record points to, as far as it can be read.
    async fn needs_of(&self, area: Area, about: &Digest) -> Vec<Digest> {
        if let Some(tree) = self.inner.trees.get(about).filter(|_| area == Area::Tree) {
            return tree.needs();
        }
        let record = self.inner.objects.record(&RecordName::new(area, *about)).await;
        match record.ok().flatten() {
            Some(record) if area == Area::Blob => points::of_blob(*about, &record).data(),
            _ => Vec::new(),
        }
    }

    fn gone(&self, removed: Result<(), StoreError>) {
        if let Err(error) = removed {
            let place = self.inner.objects.place();
            tracing::warn!(%error, place, "what is of no use could not be removed");
        }
    }
}

/// The bytes, if they are those of the name.
async fn opened(stored: Bytes, digest: Digest, most: u64) -> Result<Option<Bytes>, StoreError> {
    let check = move || {
        let sound = DigestFunction::Sha256.digest(&stored) == digest;
        Ok(sound.then(|| frame::open(&stored, most)).flatten())
    };
    if digest.size() as usize <= INLINE { check() } else { offload(check).await }
}
