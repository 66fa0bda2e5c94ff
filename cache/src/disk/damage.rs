//! Blobs whose bytes are not those of their digest.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::attributes;
use super::bases::Area;
use super::copy;
use super::name::EntryName;
use super::store::{Disk, DiskStore, is_the_empty_blob, size};
use crate::{Discard, StoreError};

impl Discard for DiskStore {
    /// Hashes the blob once more and removes it, with its executable variant, if it is damaged indeed: the one
    /// that the caller read may have been replaced meanwhile.
    fn discard(&self, digest: &Digest) -> Result<(), StoreError> {
        if is_the_empty_blob(digest) {
            return Ok(());
        }
        for executable in [true, false] {
            self.disk.drop_if_damaged(digest, executable)?;
        }
        Ok(())
    }
}

impl Disk {
    /// Removes the inode where it does not hold the blob. True where it did not.
    pub(super) fn drop_if_damaged(&self, digest: &Digest, executable: bool) -> Result<bool, StoreError> {
        let name = EntryName::variant(digest, executable);
        let Some(actual) = self.hash_entry(Area::Cas, digest.function(), &name)? else { return Ok(false) };
        // The hash alone: a digest with the right hash and a wrong size is the asker's fault.
        if actual.hash() == digest.hash() {
            return Ok(false);
        }
        tracing::warn!(blob = %digest.short(), "a damaged blob is removed from the cache");
        match self.unlink(Area::Cas, digest.function(), &name, actual.size()) {
            // It stays, and whoever reads it will find out again.
            Err(StoreError::ReadOnly { .. }) => Ok(true),
            other => other.map(|()| true),
        }
    }

    /// The digest of an entry's bytes, if there is one.
    pub(super) fn hash_entry(
        &self,
        area: Area,
        function: DigestFunction,
        name: &EntryName,
    ) -> Result<Option<Digest>, StoreError> {
        let path = self.layout.path(area, function, name);
        let failed = |error| self.error("read", path.clone(), error);
        let file = match open_quietly(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let len = file.metadata().map_err(failed)?.len();
        copy::hash(function, &mut &file, len).map(Some).map_err(failed)
    }

    /// The bytes of an entry, if there is one, without marking it as used.
    pub(super) fn peek(
        &self,
        area: Area,
        function: DigestFunction,
        name: &EntryName,
        limit: u64,
    ) -> Result<Option<Bytes>, StoreError> {
        let path = self.layout.path(area, function, name);
        let mut bytes = Vec::new();
        match open_quietly(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error("read", path, error)),
        }
    }

    /// Makes sure that the inode holds the blob, hashing it if this process has not yet. A damaged one is
    /// removed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where there is none; [`StoreError::Mismatch`] where it was damaged.
    pub(super) fn verified(&self, digest: &Digest, executable: bool) -> Result<(), StoreError> {
        let name = EntryName::variant(digest, executable);
        let function = digest.function();
        let not_found = StoreError::NotFound { digest: *digest };
        let stat = self.find(Area::Cas, function, &name)?.ok_or(not_found)?;
        if self.memo.knows(digest, executable, &stat) {
            return Ok(());
        }
        self.verify_inode(digest, executable, &name)
    }

    fn verify_inode(&self, digest: &Digest, executable: bool, name: &EntryName) -> Result<(), StoreError> {
        let failed = |error: Errno| self.failed("read", Area::Cas, digest.function(), name, error);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = self.at(Area::Cas, digest.function(), name, |base| {
            rustix::fs::openat(base, name.path(), flags, Mode::empty())
        })?;
        let file = File::from(opened.ok_or(StoreError::NotFound { digest: *digest })?);
        let stat = rustix::fs::fstat(&file).map_err(failed)?;
        let actual = copy::hash(digest.function(), &mut &file, size(&stat)).map_err(|error| {
            self.error("read", self.layout.path(Area::Cas, digest.function(), name), error)
        })?;
        if actual != *digest {
            self.drop_if_damaged(digest, executable)?;
            return Err(StoreError::Mismatch { expected: *digest, actual });
        }
        if !attributes::is_normal(&stat, executable) {
            // The bytes are right, but somebody touched the rest. In a read-only cache it stays as it is.
            let _ = self.attributes.apply(file.as_fd(), &stat, executable, self.recency.now_ns());
        }
        self.memo.remember(digest, executable, &stat);
        Ok(())
    }

    /// Whether an entry is there, without marking it as used.
    pub(super) fn exists(&self, digest: &Digest) -> bool {
        let Some(base) = self.layout.bases().get(Area::Cas, digest.function()) else { return false };
        rustix::fs::statat(base, EntryName::new(digest).path(), AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| size(&stat) == digest.size())
    }
}

/// Opens for reading without changing the atime where the kernel lets us: looking for damage is no use of a blob.
fn open_quietly(path: &std::path::Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    match File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NOATIME).open(path) {
        // Only the owner of a file may ask for that.
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
        outcome => return outcome,
    }
    File::options().read(true).custom_flags(libc::O_NOFOLLOW).open(path)
}
