//! [`BlobStore`] for the cache directory.
//!
//! Small operations run inline although they block: a few system calls on cached metadata take a few
//! microseconds, less than the hop to a blocking thread and back. What moves many bytes takes the hop, where
//! there is a tokio runtime.

use std::fs::File;
use std::io::Read as _;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::Digest;
use rustix::fs::{Mode, OFlags};

use super::bases::Area;
use super::copy;
use super::name::EntryName;
use super::store::{DiskStore, is_the_empty_blob, size};
use crate::offload::offload;
use crate::{Blob, BlobStore, StoreError};

/// Up to this many bytes are read or written inline, and handed out in memory: about a tenth of a millisecond.
const INLINE: u64 = 256 << 10;

/// Up to this many presence checks are made inline: less than a millisecond.
const INLINE_CHECKS: usize = 512;

impl DiskStore {
    /// [`BlobStore::get`], blocking. A blob with the wrong length is removed and counts as absent; otherwise
    /// the bytes are not checked.
    pub fn get_blocking(&self, digest: &Digest) -> Result<Blob, StoreError> {
        if is_the_empty_blob(digest) {
            return Ok(Blob::Bytes(bytes::Bytes::new()));
        }
        let disk = &*self.disk;
        let (function, name) = (digest.function(), EntryName::new(digest));
        let missing = || StoreError::NotFound { digest: *digest };
        let opened = disk.at(Area::Cas, function, &name, |base| {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(base, name.path(), flags, Mode::empty())?;
            let stat = rustix::fs::fstat(&fd)?;
            disk.mark(base, &name, &stat)?;
            Ok((fd, stat))
        })?;
        let (fd, stat) = opened.ok_or_else(missing)?;
        if size(&stat) != digest.size() {
            disk.drop_if_damaged(digest, false)?;
            return Err(missing());
        }
        let file = File::from(fd);
        if digest.size() > INLINE {
            let path = disk.layout.path(Area::Cas, function, &name);
            return Ok(Blob::File { file, path, len: digest.size() });
        }
        let mut bytes = Vec::with_capacity(digest.size() as usize + 1);
        file.take(digest.size())
            .read_to_end(&mut bytes)
            .map_err(|error| disk.error("read", disk.layout.path(Area::Cas, function, &name), error))?;
        Ok(Blob::Bytes(bytes.into()))
    }

    /// [`BlobStore::put`], blocking.
    pub fn put_blocking(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        match blob {
            Blob::Bytes(bytes) => self.put_bytes_blocking(digest, &bytes),
            Blob::File { file, path, len } => self.put_stream(digest, &mut file.take(len), &path),
            Blob::Checked(file) => self.put_blocking(digest, file.into_blob()),
        }
    }

    /// Unlike the other writers this one cannot try again on a full disk: the stream has been read by then.
    fn put_stream(
        &self,
        digest: &Digest,
        source: &mut impl std::io::Read,
        path: &std::path::Path,
    ) -> Result<(), StoreError> {
        let disk = &self.disk;
        // Never written on a promise: whatever is there already, the caller's bytes are compared.
        let draft = disk
            .layout
            .scratch()
            .and_then(|_| disk.reserve(digest.size()))
            .and_then(|()| disk.draft(false))?;
        let actual = copy::hash_while_copying(digest.function(), source, &mut &draft.file, digest.size())
            .map_err(|error| disk.error("copy", path.to_owned(), error))?;
        if actual != *digest {
            return Err(StoreError::Mismatch { expected: *digest, actual });
        }
        if is_the_empty_blob(digest) || self.has(digest)? {
            return Ok(());
        }
        disk.publish_blob(draft, digest, false)
    }

    fn missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        let mut missing = Vec::new();
        for digest in digests {
            if !self.has(digest)? {
                missing.push(*digest);
            }
        }
        Ok(missing)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl BlobStore for DiskStore {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        if digests.len() <= INLINE_CHECKS {
            return self.missing(digests);
        }
        let digests = digests.to_vec();
        let store = self.clone();
        offload(move || store.missing(&digests)).await
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        self.get_blocking(digest)
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        if blob.len() <= INLINE {
            return self.put_blocking(digest, blob);
        }
        let (store, digest) = (self.clone(), *digest);
        offload(move || store.put_blocking(&digest, blob)).await
    }

    async fn put_small(&self, blobs: Vec<(Digest, Bytes)>) -> Result<(), StoreError> {
        crate::blob_store::one_by_one(self, blobs).await
    }
}
