//! Storing a tree.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cullet_digest::{Digest, Directory};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::kept_tree::{KeptTree, PackPlace};
use super::{CUT_AT_ONCE, INLINE, PACKS_AT_ONCE, PackedBlobs, SMALL, cut};
use crate::blob::is_the_empty_blob;
use crate::objects::MOST_RECORD;
use crate::whole::read_whole;
use crate::{Area, BlobStore, Moved, ObjectName, RecordName, StoreError};

/// Directories in one tree: what is checked for results everywhere.
const MOST_DIRECTORIES: usize = 1 << 20;

/// Blobs that are read at the same time for one pack.
const READS: usize = 16;

/// The largest directory that is read, in bytes.
const LARGEST_DIRECTORY: u64 = 64 << 20;

/// What is below a directory.
#[derive(Default)]
struct Below {
    directories: Vec<(Digest, Bytes)>,
    /// In the order of their paths, each once.
    small: Vec<Digest>,
    alone: Vec<Digest>,
}

impl PackedBlobs {
    /// See [`crate::Trees::put_tree`].
    pub(super) async fn store_tree(
        &self,
        root: &Digest,
        from: &dyn BlobStore,
    ) -> Result<Option<Moved>, StoreError> {
        let name = RecordName::new(Area::Tree, *root);
        if self.objects().has_record(&name).await? {
            return Ok(Some(Moved::default()));
        }
        let Below { directories, small, alone } = walk(root, from).await?;
        let mut moved = Moved::default();
        let sent = alone.clone().into_iter().map(|blob| async move { self.send_alone(&blob, from).await });
        let sent = stream::iter(sent).buffer_unordered(CUT_AT_ONCE).try_collect::<Vec<u64>>().await?;
        for bytes in sent {
            moved += Moved { blobs: u64::from(bytes > 0), bytes };
        }
        let mut packs = Vec::new();
        if small.iter().map(Digest::size).sum::<u64>() <= INLINE {
            if !small.is_empty() {
                let inline = together(&small, from).await?;
                moved += Moved { blobs: small.len() as u64, bytes: 0 };
                packs.push(PackPlace { data: None, inline, blobs: small });
            }
        } else {
            let sent = cut::packs(&small).into_iter().map(|range| self.send_pack(&small, range, from));
            let mut sent = stream::iter(sent).buffered(PACKS_AT_ONCE);
            while let Some((pack, bytes)) = sent.try_next().await? {
                let blobs = if bytes > 0 { pack.blobs.len() as u64 } else { 0 };
                moved += Moved { blobs, bytes };
                packs.push(pack);
            }
        }
        let Some(tree) = KeptTree::new(*root, directories, packs, alone) else {
            return Err(StoreError::NotFound { digest: *root });
        };
        let Some(record) = tree.encode().filter(|record| record.len() as u64 <= MOST_RECORD) else {
            return Ok(None);
        };
        moved += Moved { blobs: tree.directories().len() as u64, bytes: record.len() as u64 };
        let alone = tree.alone().iter().map(|blob| ObjectName::Record(RecordName::new(Area::Blob, *blob)));
        let parts: Vec<ObjectName> = alone.chain(tree.needs().into_iter().map(ObjectName::Data)).collect();
        self.all_there(&parts).await?;
        self.objects().put_record(&name, record.into(), &tree.needs()).await?;
        self.remember(&Arc::new(tree));
        Ok(Some(moved))
    }

    async fn send_alone(&self, blob: &Digest, from: &dyn BlobStore) -> Result<u64, StoreError> {
        if self.has_blob(blob).await? {
            return Ok(0);
        }
        self.store_blob(blob, from.get(blob).await?).await
    }

    async fn send_pack(
        &self,
        blobs: &[Digest],
        range: Range<usize>,
        from: &dyn BlobStore,
    ) -> Result<(PackPlace, u64), StoreError> {
        // Never closed, so the permit always comes.
        let _permit = self.inner.packing.acquire().await;
        let blobs = blobs[range].to_vec();
        let bytes = together(&blobs, from).await?;
        let (data, sent) = self.send_data(bytes).await?;
        Ok((PackPlace { data: Some(data), inline: Bytes::new(), blobs }, sent))
    }
}

/// The bytes of blobs, one behind the other.
async fn together(blobs: &[Digest], from: &dyn BlobStore) -> Result<Bytes, StoreError> {
    let read = |blob: Digest| async move {
        let bytes = read_whole(from.get(&blob).await?).await?;
        // A store that sends more or less would move everything behind it.
        if bytes.len() as u64 == blob.size() { Ok(bytes) } else { Err(StoreError::NotFound { digest: blob }) }
    };
    let len: u64 = blobs.iter().map(Digest::size).sum();
    let mut together = BytesMut::with_capacity(len as usize);
    let mut parts = stream::iter(blobs.to_vec()).map(read).buffered(READS);
    while let Some(part) = parts.try_next().await? {
        together.extend_from_slice(&part);
    }
    Ok(together.freeze())
}

/// Everything below a directory.
async fn walk(root: &Digest, from: &dyn BlobStore) -> Result<Below, StoreError> {
    let mut below = Below::default();
    let mut files: HashSet<Digest> = HashSet::new();
    let mut seen: HashSet<Digest> = HashSet::from([*root]);
    let mut waiting = vec![*root];
    while let Some(directory) = waiting.pop() {
        if directory.size() > LARGEST_DIRECTORY || seen.len() > MOST_DIRECTORIES {
            return Err(StoreError::TooLarge { digest: directory, limit: LARGEST_DIRECTORY });
        }
        let bytes = read_whole(from.get(&directory).await?).await?;
        let Ok(decoded) = Directory::decode(directory.function(), &bytes) else {
            return Err(StoreError::NotFound { digest: directory });
        };
        below.directories.push((directory, bytes));
        for file in decoded.files() {
            if is_the_empty_blob(&file.digest) || !files.insert(file.digest) {
                continue;
            }
            let list = if file.digest.size() <= SMALL { &mut below.small } else { &mut below.alone };
            list.push(file.digest);
        }
        let children = decoded.directories().iter().rev().map(|child| child.digest);
        waiting.extend(children.filter(|child| seen.insert(*child)));
    }
    // A directory may be a file of the tree as well.
    below.small.retain(|file| !seen.contains(file));
    below.alone.retain(|file| !seen.contains(file));
    Ok(below)
}
