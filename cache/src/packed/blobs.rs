//! [`BlobStore`] over objects.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::runtime::Handle;

use super::data::Useless;
use super::kept_tree::{KeptTree, Spot};
use super::recipe::{Piece, Recipe};
use super::{PackedBlobs, trees};
use crate::blob::is_the_empty_blob;
use crate::origin::{Pieces, sends_others};
use crate::{Area, Blob, BlobStore, Discard, Objects, Origin, RecordName, StoreError, blocking};

/// Questions at once.
const CHECKS: usize = 32;

/// Small blobs that are sent at once.
const PUTS: usize = 32;

/// Pieces of one blob that are fetched at the same time.
const AHEAD: usize = 8;

/// A blob, and how much of it there is at once.
enum Found {
    Whole(Bytes),
    Pieces(Vec<Piece>),
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for PackedBlobs {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        // Blobs of one tree are there or not together.
        let mut roots: HashMap<Digest, bool> = HashMap::new();
        roots.extend(digests.iter().filter_map(|digest| Some((self.inner.known.get(digest)?, false))));
        let asked = roots.into_keys().map(|root| async move { Ok((root, self.has_tree(&root).await?)) });
        let asked = stream::iter(asked).buffer_unordered(CHECKS).try_collect::<HashMap<Digest, bool>>();
        let roots = &asked.await?;
        stream::iter(digests.to_vec())
            .map(|digest| async move { Ok((!self.has(&digest, roots).await?).then_some(digest)) })
            .buffered(CHECKS)
            .try_filter_map(|missing| async move { Ok(missing) })
            .try_collect()
            .await
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        match self.find(digest).await? {
            Found::Whole(bytes) => Ok(bytes.into()),
            // It is put together in a file, and checked on the way.
            Found::Pieces(_) => self.inner.patience.receive(self, digest).await?.open(),
        }
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.store_blob(digest, blob).await.map(drop)
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        let puts =
            blobs.into_iter().map(|(digest, bytes)| async move { self.send_small(&digest, bytes).await });
        stream::iter(puts).buffer_unordered(PUTS).try_collect::<()>().await
    }
}

#[async_trait]
impl Origin for PackedBlobs {
    fn place(&self) -> &str {
        self.inner.objects.place()
    }

    async fn open(&self, digest: &Digest, offset: u64) -> Result<Pieces, StoreError> {
        match self.find(digest).await? {
            Found::Whole(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let rest = bytes.slice(start..);
                Ok(stream::iter((!rest.is_empty()).then_some(Ok(rest))).boxed())
            }
            Found::Pieces(pieces) => Ok(self.stream(*digest, pieces, offset)),
        }
    }
}

impl Discard for PackedBlobs {
    fn discard(&self, digest: &Digest) -> Result<(), StoreError> {
        let no_runtime = |error| StoreError::remote("reach", self.inner.objects.place(), error);
        let runtime = Handle::try_current().map_err(no_runtime)?;
        let (store, of) = (self.clone(), *digest);
        blocking::wait(&runtime, async move { store.drop_if_damaged(&of).await })?
    }
}

impl PackedBlobs {
    async fn has(&self, digest: &Digest, roots: &HashMap<Digest, bool>) -> Result<bool, StoreError> {
        if digest.is_empty() {
            return Ok(is_the_empty_blob(digest));
        }
        let by_tree = self.inner.known.get(digest).and_then(|root| roots.get(&root).copied());
        if by_tree == Some(true) || self.has_blob(digest).await? {
            return Ok(true);
        }
        self.has_tree(digest).await
    }

    pub(super) async fn has_blob(&self, digest: &Digest) -> Result<bool, StoreError> {
        self.inner.objects.has_record(&RecordName::new(Area::Blob, *digest)).await
    }

    async fn has_tree(&self, root: &Digest) -> Result<bool, StoreError> {
        self.inner.objects.has_record(&RecordName::new(Area::Tree, *root)).await
    }

    /// A blob, wherever it is.
    async fn find(&self, digest: &Digest) -> Result<Found, StoreError> {
        if is_the_empty_blob(digest) {
            return Ok(Found::Whole(Bytes::new()));
        }
        if digest.is_empty() {
            return Err(StoreError::NotFound { digest: *digest });
        }
        if let Some(bytes) = self.in_a_tree(digest).await? {
            return Ok(Found::Whole(bytes));
        }
        if let Some(record) = self.inner.objects.record(&RecordName::new(Area::Blob, *digest)).await? {
            match Recipe::decode(digest, &record) {
                Some(Recipe::Whole(bytes)) => return Ok(Found::Whole(bytes)),
                Some(Recipe::Pieces(pieces)) => return Ok(Found::Pieces(pieces)),
                None => self.forget(Area::Blob, digest, Useless::IsWrong).await,
            }
        }
        // It may be the root of a tree that was not read yet.
        let tree = self.read_tree(digest).await?;
        let root = tree.and_then(|tree| tree.spot(digest).zip(Some(tree)));
        match root {
            Some((Spot::Directory(index), tree)) => tree.directory(index).cloned().map(Found::Whole),
            _ => None,
        }
        .ok_or(StoreError::NotFound { digest: *digest })
    }

    async fn in_a_tree(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        let Some(tree) = self.tree_of(digest).await? else { return Ok(None) };
        self.within(&tree, digest).await
    }

    /// A blob of which a tree is believed to have it.
    async fn within(&self, tree: &Arc<KeptTree>, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        let (index, offset) = match tree.spot(digest) {
            Some(Spot::Directory(index)) => return Ok(tree.directory(index).cloned()),
            Some(Spot::Pack { index, offset }) => (index, offset),
            None => return Ok(None),
        };
        let Some(place) = tree.place(index) else { return Ok(None) };
        let bytes = match &place.data {
            None => place.inline.clone(),
            Some(data) => match self.pack_bytes(data).await {
                Ok(bytes) => bytes,
                Err(StoreError::NotFound { .. }) => {
                    self.lost(tree, Useless::LacksData).await;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            },
        };
        Ok(trees::slice(&bytes, offset, digest.size()))
    }

    /// Gives a blob that one of these trees has, or another one that is known, a record of its own; false where none has it.
    pub(super) async fn set_apart(
        &self,
        digest: &Digest,
        trees: &[Arc<KeptTree>],
    ) -> Result<bool, StoreError> {
        for tree in trees {
            if let Some(bytes) = self.within(tree, digest).await? {
                return self.send_small(digest, bytes).await.map(|()| true);
            }
        }
        let Some(bytes) = self.in_a_tree(digest).await? else { return Ok(false) };
        self.send_small(digest, bytes).await.map(|()| true)
    }

    /// The pieces of a blob without its first `offset` bytes.
    fn stream(&self, blob: Digest, pieces: Vec<Piece>, offset: u64) -> Pieces {
        let mut skipped = 0;
        let mut wanted = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let from = offset.saturating_sub(skipped).min(piece.len.into());
            skipped += u64::from(piece.len);
            if from < u64::from(piece.len) {
                wanted.push((piece, from as usize));
            }
        }
        let store = self.clone();
        let read = move |(piece, from): (Piece, usize)| {
            let store = store.clone();
            async move { store.piece(blob, piece).await.map(|bytes| bytes.slice(from..)) }
        };
        stream::iter(wanted).map(read).buffered(AHEAD).boxed()
    }

    /// Reads the blob once more, past what is remembered: what arrived wrong may have been damaged on its way. If it is
    /// wrong there too, what says that it is the blob is removed.
    async fn drop_if_damaged(&self, digest: &Digest) -> Result<(), StoreError> {
        if let Some(tree) = self.tree_of(digest).await?
            && let Some(Spot::Pack { index, .. }) = tree.spot(digest)
        {
            tree.place(index)
                .and_then(|place| place.data)
                .inspect(|data| drop(self.inner.packs.remove(data)));
        }
        if !sends_others(self, digest).await? {
            return Ok(());
        }
        match self.tree_of(digest).await? {
            Some(tree) => drop(self.lost(&tree, Useless::IsWrong).await),
            None => self.forget(Area::Blob, digest, Useless::IsWrong).await,
        }
        Ok(())
    }

    /// What everything is stored in.
    pub(super) fn objects(&self) -> &dyn Objects {
        &*self.inner.objects
    }
}
