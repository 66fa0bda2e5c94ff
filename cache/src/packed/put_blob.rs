//! Storing one blob.

use std::io::Read;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction, Hasher};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;

use super::recipe::{Piece, Recipe};
use super::{PackedBlobs, WHOLE, frame};
use crate::blob::is_the_empty_blob;
use crate::chunks::chunks;
use crate::offload::offload;
use crate::whole::{HASHED_HERE, check, compare, read_whole};
use crate::{Area, Blob, ObjectName, RecordName, StoreError};

/// Pieces of one blob that are compressed and sent at the same time.
const PIECES: usize = 12;

/// Pieces that are cut and wait.
const CUT: usize = 2;

impl PackedBlobs {
    /// Stores a blob, unless it is there, and says how many bytes were sent. The bytes are compared with the digest in any
    /// case.
    pub(super) async fn store_blob(&self, digest: &Digest, blob: Blob) -> Result<u64, StoreError> {
        if blob.len() <= WHOLE {
            let bytes = read_whole(blob).await?;
            check(digest, &bytes).await?;
            let there = is_the_empty_blob(digest) || self.has_blob(digest).await?;
            return if there { Ok(0) } else { self.send_whole(digest, bytes).await };
        }
        let there = self.has_blob(digest).await?;
        self.send_pieces(digest, blob, there).await
    }

    /// Stores a blob of a few kilobytes that is most likely not there.
    pub(super) async fn send_small(&self, digest: &Digest, bytes: Bytes) -> Result<(), StoreError> {
        if bytes.len() as u64 > WHOLE {
            return self.store_blob(digest, bytes.into()).await.map(drop);
        }
        check(digest, &bytes).await?;
        if is_the_empty_blob(digest) { Ok(()) } else { self.send_whole(digest, bytes).await.map(drop) }
    }

    async fn send_whole(&self, digest: &Digest, bytes: Bytes) -> Result<u64, StoreError> {
        let record = if bytes.len() <= HASHED_HERE {
            Recipe::Whole(bytes).encode()
        } else {
            offload(move || Ok(Recipe::Whole(bytes).encode())).await?
        };
        self.put_recipe(digest, record, &[]).await
    }

    async fn put_recipe(
        &self,
        digest: &Digest,
        record: Option<Vec<u8>>,
        needs: &[Digest],
    ) -> Result<u64, StoreError> {
        let place = || self.objects().place();
        let record = record.ok_or_else(|| StoreError::remote("store in", place(), "a blob has no record"))?;
        let len = record.len() as u64;
        let parts: Vec<ObjectName> = needs.iter().copied().map(ObjectName::Data).collect();
        self.all_there(&parts).await?;
        self.objects().put_record(&RecordName::new(Area::Blob, *digest), record.into(), needs).await?;
        Ok(len)
    }

    /// Sees to it that what a record is about to point to is still there, however long ago it was found or stored.
    pub(super) async fn all_there(&self, parts: &[ObjectName]) -> Result<(), StoreError> {
        if self.objects().gone(parts).await?.is_empty() {
            return Ok(());
        }
        let why = "some of it was removed while it was being stored";
        Err(StoreError::remote("store in", self.objects().place(), why))
    }

    /// Cuts a blob, stores the pieces that are not there, and then what it is made of. `there` is a blob of which only the
    /// bytes are compared.
    async fn send_pieces(&self, digest: &Digest, blob: Blob, there: bool) -> Result<u64, StoreError> {
        // Never closed, so the permit always comes.
        let _permit = self.inner.cutting.acquire().await;
        let (cut, pieces) = mpsc::channel(CUT);
        let (expected, place) = (*digest, self.objects().place().to_owned());
        let cutting = tokio::task::spawn_blocking(move || cut_up(&expected, blob, &cut, &place));
        let pieces = stream::unfold(pieces, async |mut pieces| Some((pieces.recv().await?, pieces)));
        let sent = pieces.map(|piece| self.send_piece(piece, there)).buffered(PIECES);
        let sent: Vec<(Option<Piece>, u64)> = sent.try_collect().await?;
        let cut = cutting
            .await
            .unwrap_or_else(|error| Err(StoreError::remote("cut a blob for", self.objects().place(), error)));
        cut?;
        if there {
            return Ok(0);
        }
        let moved: u64 = sent.iter().map(|(_, moved)| moved).sum();
        let pieces: Option<Vec<Piece>> = sent.into_iter().map(|(piece, _)| piece).collect();
        let needs = pieces.iter().flatten().map(Piece::data).collect::<Vec<_>>();
        let record = pieces.and_then(|pieces| Recipe::Pieces(pieces).encode());
        Ok(moved + self.put_recipe(digest, record, &needs).await?)
    }

    async fn send_piece(&self, bytes: Bytes, there: bool) -> Result<(Option<Piece>, u64), StoreError> {
        if there {
            return Ok((None, 0));
        }
        let len = bytes.len();
        let (data, moved) = self.send_data(bytes).await?;
        Ok((Piece::new(&data, len), moved))
    }

    /// Stores these bytes as data, unless they are there, and says how many bytes were sent.
    pub(super) async fn send_data(&self, bytes: Bytes) -> Result<(Digest, u64), StoreError> {
        let stored = offload(move || {
            let stored = Bytes::from(frame::close(&bytes));
            Ok((DigestFunction::Sha256.digest(&stored), stored))
        });
        let (digest, stored) = stored.await?;
        if self.objects().has_data(&digest).await? {
            return Ok((digest, 0));
        }
        self.objects().put_data(&digest, stored).await?;
        Ok((digest, digest.size()))
    }
}

/// Sends the pieces of a blob, and compares all of them with its digest. Blocks.
fn cut_up(
    expected: &Digest,
    blob: Blob,
    pieces: &mpsc::Sender<Bytes>,
    place: &str,
) -> Result<(), StoreError> {
    let mut hasher = Hasher::new(expected.function());
    let reader: Box<dyn Read + Send> = blob.into_reader();
    for piece in chunks(reader) {
        let piece = piece.map_err(|error| StoreError::remote("read a blob for", place, error))?;
        hasher.update(&piece.data);
        if pieces.blocking_send(piece.data.into()).is_err() {
            // Whoever wanted them has failed, and says why.
            return Ok(());
        }
    }
    compare(expected, hasher.finish())
}
