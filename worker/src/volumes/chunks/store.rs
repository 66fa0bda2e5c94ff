//! From layers to a store.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use cullet_cache::{Blob, BlobStore};
use cullet_digest::Digest;
use fastcdc::v2020::StreamCDC;
use rustix::fs::{Mode, OFlags, fstat};
use tokio::runtime::Handle;

use super::manifest::{Attributes, Chunk, Entry, Manifest, What};
use super::{ChunkError, FUNCTION, LEAST_CHUNK, MEAN_CHUNK, MOST_CHUNK};
use crate::layers::{Entry as Merged, Workspace, join};

/// Chunks that are asked for and stored together, 16 MiB of them at most.
const BATCH: usize = 16;

/// What was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The name of the version.
    pub manifest: Digest,
    /// Chunks that it has.
    pub chunks: u64,
    /// Those that the store did not have.
    pub new_chunks: u64,
}

/// Stores what the layers show, uppermost first; nobody writes to them meanwhile. Blocks.
///
/// # Errors
/// A file cannot be read, or the store takes nothing.
pub fn store(layers: &[PathBuf], blobs: &dyn BlobStore, runtime: &Handle) -> Result<Stored, ChunkError> {
    let merged = Workspace::open(layers, Path::new("")).map_err(ChunkError::io("open", b""))?;
    let mut storing = Storing { blobs, runtime, batch: Vec::new(), chunks: 0, new: 0 };
    let mut entries = Vec::new();
    let mut pending = vec![(Vec::new(), merged.root())];
    while let Some((path, set)) = pending.pop() {
        let failed = || ChunkError::io("read", &path);
        let parts: Vec<(usize, OwnedFd)> = set
            .iter()
            .map(|layer| Ok((layer, merged.open_dir(layer, &path)?)))
            .collect::<std::io::Result<_>>()
            .map_err(failed())?;
        let Some((_, top)) = parts.first() else { continue };
        let attributes = Attributes::of(&fstat(top).map_err(ChunkError::io("read", &path))?);
        entries.push(Entry { path: path.clone(), what: What::Directory(attributes) });
        for (name, entry) in merged.list(&path, set, u64::MAX).map_err(failed())?.unwrap_or_default() {
            let below = join(&path, &name);
            match entry {
                Merged::Directory(set) => pending.push((below, set)),
                Merged::Symlink(target) => entries.push(Entry { path: below, what: What::Symlink(target) }),
                Merged::Special(_) => {}
                Merged::File(file) => {
                    let Some((_, part)) = parts.iter().find(|(layer, _)| *layer == file.layer) else {
                        continue;
                    };
                    let what = storing.file(part, &name, &below)?;
                    entries.push(Entry { path: below, what });
                }
            }
        }
    }
    storing.flush()?;
    let bytes = Bytes::from(Manifest::new(entries).encode()?);
    let manifest = FUNCTION.digest(&bytes);
    runtime.block_on(blobs.put(&manifest, Blob::from(bytes)))?;
    Ok(Stored { manifest, chunks: storing.chunks, new_chunks: storing.new })
}

struct Storing<'a> {
    blobs: &'a dyn BlobStore,
    runtime: &'a Handle,
    batch: Vec<(Digest, Bytes)>,
    chunks: u64,
    new: u64,
}

impl Storing<'_> {
    fn file(&mut self, dir: &OwnedFd, name: &[u8], path: &[u8]) -> Result<What, ChunkError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(dir, name, flags, Mode::empty());
        let mut file = File::from(opened.map_err(ChunkError::io("open", path))?);
        let stat = fstat(&file).map_err(ChunkError::io("read", path))?;
        let mut chunks = Vec::new();
        if stat.st_size <= LEAST_CHUNK as i64 {
            let mut bytes = Vec::new();
            file.by_ref()
                .take(LEAST_CHUNK as u64)
                .read_to_end(&mut bytes)
                .map_err(ChunkError::io("read", path))?;
            if !bytes.is_empty() {
                chunks.push(self.chunk(bytes)?);
            }
            return Ok(What::File(Attributes::of(&stat), chunks));
        }
        for chunk in StreamCDC::new(file, LEAST_CHUNK, MEAN_CHUNK, MOST_CHUNK) {
            let chunk = chunk.map_err(|error| ChunkError::io("read", path)(std::io::Error::other(error)))?;
            chunks.push(self.chunk(chunk.data)?);
        }
        Ok(What::File(Attributes::of(&stat), chunks))
    }

    fn chunk(&mut self, bytes: Vec<u8>) -> Result<Chunk, ChunkError> {
        let digest = FUNCTION.digest(&bytes);
        self.chunks += 1;
        self.batch.push((digest, bytes.into()));
        if self.batch.len() >= BATCH {
            self.flush()?;
        }
        Ok(Chunk::of(&digest))
    }

    fn flush(&mut self) -> Result<(), ChunkError> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.sort_by_key(|(digest, _)| *digest);
        batch.dedup_by_key(|(digest, _)| *digest);
        let digests: Vec<Digest> = batch.iter().map(|(digest, _)| *digest).collect();
        self.runtime.block_on(async {
            let missing = self.blobs.find_missing(&digests).await?;
            for (digest, bytes) in batch.into_iter().filter(|(digest, _)| missing.contains(digest)) {
                self.blobs.put(&digest, Blob::from(bytes)).await?;
                self.new += 1;
            }
            Ok(())
        })
    }
}
