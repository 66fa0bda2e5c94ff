//! From a store to a directory.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use bytes::Bytes;
use cullet_cache::{BlobStore, StoreError};
use cullet_digest::Digest;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use tokio::runtime::Handle;

use super::manifest::{Attributes, Chunk, Manifest, What};
use super::{ChunkError, MOST_MANIFEST};
use crate::layers::open_dir;
use crate::volumes::tidy::{LEAST_BYTES, open_root};

/// What was restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Names.
    pub entries: u64,
    /// What they take of the disk, at least 4 KiB each.
    pub bytes: u64,
}

/// Makes what a version has in `target`, which is not there yet. After an error whatever was made is still there: the caller
/// removes it. Every chunk is checked. Blocks.
///
/// # Errors
/// Something is missing or not what it should be, or it is more than `most` bytes.
pub fn restore(
    manifest: &Digest,
    (blobs, runtime): (&dyn BlobStore, &Handle),
    target: &Path,
    owner: Option<(u32, u32)>,
    most: u64,
) -> Result<Restored, ChunkError> {
    if manifest.size() > MOST_MANIFEST {
        return Err(ChunkError::Manifest(*manifest));
    }
    let fetch = Fetch { blobs, runtime };
    let listed = Manifest::decode(manifest, &fetch.bytes(manifest)?)?;
    rustix::fs::mkdir(target, Mode::RWXU).map_err(ChunkError::io("make", b""))?;
    let root =
        open_root(target).map_err(|error| ChunkError::io("open", b"")(std::io::Error::other(error)))?;
    let mut restoring = Restoring { fetch, root, owner, most, restored: Restored::default() };
    let mut directories: Vec<(&[u8], Attributes)> = Vec::new();
    for entry in &listed.entries {
        if let What::Directory(attributes) = entry.what {
            directories.push((&entry.path, attributes));
        }
        restoring.entry(&entry.path, &entry.what)?;
    }
    // Times of directories change as long as something is made in them, and modes may keep even us out.
    for (path, attributes) in directories.into_iter().rev() {
        let dir = open_dir(restoring.root.as_fd(), path).map_err(ChunkError::io("open", path))?;
        restoring.finish(&dir, path, attributes)?;
    }
    Ok(restoring.restored)
}

struct Fetch<'a> {
    blobs: &'a dyn BlobStore,
    runtime: &'a Handle,
}

impl Fetch<'_> {
    fn bytes(&self, digest: &Digest) -> Result<Bytes, ChunkError> {
        let bytes = self.runtime.block_on(self.blobs.get(digest))?.into_bytes();
        let bytes = bytes.map_err(ChunkError::io("read", b""))?;
        let actual = digest.function().digest(&bytes);
        if actual != *digest {
            return Err(StoreError::Mismatch { expected: *digest, actual }.into());
        }
        Ok(bytes)
    }
}

struct Restoring<'a> {
    fetch: Fetch<'a>,
    root: OwnedFd,
    owner: Option<(u32, u32)>,
    most: u64,
    restored: Restored,
}

impl Restoring<'_> {
    fn entry(&mut self, path: &[u8], what: &What) -> Result<(), ChunkError> {
        self.count(LEAST_BYTES)?;
        self.restored.entries += 1;
        if path.is_empty() {
            return Ok(());
        }
        let (parent, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(end) => (&path[..end], &path[end + 1..]),
            None => (&b""[..], path),
        };
        // Through no link, whatever the manifest says.
        let parent = open_dir(self.root.as_fd(), parent).map_err(ChunkError::io("open", parent))?;
        match what {
            What::Directory(_) => {
                rustix::fs::mkdirat(&parent, name, Mode::RWXU).map_err(ChunkError::io("make", path))
            }
            What::File(attributes, chunks) => self.file(&parent, name, path, (*attributes, chunks)),
            What::Symlink(to) => {
                rustix::fs::symlinkat(&**to, &parent, name).map_err(ChunkError::io("make", path))?;
                let Some((uid, gid)) = self.owner else { return Ok(()) };
                let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                rustix::fs::chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(ChunkError::io("give away", path))
            }
        }
    }

    fn file(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        path: &[u8],
        (attributes, chunks): (Attributes, &[Chunk]),
    ) -> Result<(), ChunkError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(made.map_err(ChunkError::io("make", path))?);
        for chunk in chunks {
            let digest = chunk.digest();
            self.count(digest.size())?;
            file.write_all(&self.fetch.bytes(&digest)?).map_err(ChunkError::io("write", path))?;
        }
        self.finish(&file, path, attributes)
    }

    fn finish(&self, made: impl AsFd, path: &[u8], attributes: Attributes) -> Result<(), ChunkError> {
        let failed = || ChunkError::io("finish", path);
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::fchown(&made, uid, gid).map_err(failed())?;
        }
        rustix::fs::fchmod(&made, attributes.mode()).map_err(failed())?;
        rustix::fs::futimens(&made, &attributes.times()).map_err(failed())
    }

    fn count(&mut self, bytes: u64) -> Result<(), ChunkError> {
        self.restored.bytes += bytes;
        if self.restored.bytes > self.most { Err(ChunkError::TooLarge(self.most)) } else { Ok(()) }
    }
}
