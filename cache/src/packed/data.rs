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

/// Why a record is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Useless {
    /// Data was not there, as far as it is known what the record points to.
    LacksData,
    /// It says what is not so.
    IsWrong,
}

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
            Err(error) if !matches!(error, StoreError::NotFound { .. }) => Err(error),
            other => {
                let why = if other.is_ok() { Useless::IsWrong } else { Useless::LacksData };
                self.forget(Area::Blob, &blob, why).await;
                Err(StoreError::NotFound { digest: blob })
            }
        }
    }

    /// Removes a record that is of no use, and what is damaged of that to which it points: whoever stores it again sends only
    /// what is not there.
    pub(super) async fn forget(&self, area: Area, about: &Digest, why: Useless) {
        let (store, of) = (self.clone(), *about);
        let work = async move { store.forget_once(area, &of, why).await };
        // Several may find something of it missing at the same time, and each goes on when all of it was looked at.
        self.inner.forgetting.run(about, || work.boxed()).await;
    }

    async fn forget_once(&self, area: Area, about: &Digest, why: Useless) {
        let place = self.inner.objects.place();
        self.inner.trees.remove(about);
        let needs = match self.needs_of(area, about).await {
            Ok(needs) => needs,
            Err(error) => return tracing::debug!(%error, place, "a record that lacks data stays for now"),
        };
        // What was read some time ago may have been removed since, and be stored again by now.
        if why == Useless::LacksData && !self.lacks(&needs).await {
            return;
        }
        tracing::warn!(area = area.name(), about = %about.short(), place, ?why, "a record of no use is removed");
        let removed = self.inner.objects.remove_record(&RecordName::new(area, *about)).await;
        if removed.is_ok() {
            let checks = needs.iter().map(|data| async move { drop(self.data(data, MOST_DATA).await) });
            stream::iter(checks.collect::<Vec<_>>()).buffer_unordered(CHECKS).collect::<()>().await;
        }
        self.gone(removed);
    }

    /// Whether some of this data is not there.
    async fn lacks(&self, needs: &[Digest]) -> bool {
        let checks: Vec<_> = needs.iter().map(|data| self.inner.objects.has_data(data)).collect();
        stream::iter(checks).buffer_unordered(CHECKS).any(async |there| matches!(there, Ok(false))).await
    }

    /// The data that a record points to now; none where it is not there or cannot be read.
    async fn needs_of(&self, area: Area, about: &Digest) -> Result<Vec<Digest>, StoreError> {
        let Some(record) = self.inner.objects.record(&RecordName::new(area, *about)).await? else {
            return Ok(Vec::new());
        };
        let (about, tree) = (*about, area == Area::Tree);
        offload(move || {
            let whole = if tree { points::of_tree(about, &record) } else { points::of_blob(about, &record) };
            Ok(whole.data())
        })
        .await
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
