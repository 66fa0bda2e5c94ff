//! Files that become blobs.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use cullet_digest::{Digest, DigestFunction};
use rustix::fs::{CWD, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::bases::Area;
use super::copy;
use super::long_path;
use super::name::EntryName;
use super::publish::Draft;
use super::store::{Disk, DiskStore, is_the_empty_blob, size};
use super::usage::charge;
use crate::StoreError;

impl DiskStore {
    /// Hashes a file that the caller gives up, and makes it a blob: by a rename where nothing else links to it
    /// and it is on the filesystem of the cache, else by a copy. Afterwards the file may or may not be there.
    ///
    /// Nobody writes to the file any more: that is the caller's promise (the step and all it forked are gone).
    ///
    /// # Errors
    /// What is not a regular file is refused as [`StoreError::Io`]; no link is followed.
    pub fn adopt_file(&self, path: &Path, function: DigestFunction) -> Result<Digest, StoreError> {
        self.disk.layout.scratch()?;
        let failed = |error| self.disk.error("read", path.to_owned(), error);
        let (file, stat) = open_given_up(path).map_err(failed)?;
        let digest = copy::hash(function, &mut &file, size(&stat)).map_err(failed)?;
        if is_the_empty_blob(&digest) || self.has(&digest)? {
            return Ok(digest);
        }
        self.disk.with_room(digest.size(), || match self.disk.move_blob_in(path, &file, &stat, &digest) {
            Ok(true) => Ok(()),
            Ok(false) => self.disk.copy_in(&digest, path),
            Err(error) => Err(error),
        })?;
        Ok(digest)
    }

    /// As [`DiskStore::adopt_file`] for a file that somebody may still hold open: what becomes the blob is a copy,
    /// hashed after it was taken, in an inode that nobody else has ever seen.
    ///
    /// # Errors
    /// As for [`DiskStore::adopt_file`].
    pub fn adopt_copy(&self, path: &Path, function: DigestFunction) -> Result<Digest, StoreError> {
        self.disk.layout.scratch()?;
        let failed = |error| self.disk.error("read", path.to_owned(), error);
        let (file, stat) = open_given_up(path).map_err(failed)?;
        self.disk.with_room(size(&stat), || {
            let (draft, digest) = self.disk.copy_unknown(&file, size(&stat), function)?;
            if !is_the_empty_blob(&digest) && !self.has(&digest)? {
                self.disk.publish_blob(draft, &digest, false)?;
            }
            Ok(digest)
        })
    }

    /// Copies a file that must be the blob of `expected`. What is hashed is what is stored, so a source that
    /// changes meanwhile cannot slip through.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] where it is another blob; nothing is stored then.
    pub fn ingest_copy(&self, expected: &Digest, source: &Path) -> Result<(), StoreError> {
        self.disk.layout.scratch()?;
        if is_the_empty_blob(expected) || self.has(expected)? {
            return Ok(());
        }
        self.disk.with_room(expected.size(), || self.disk.copy_in(expected, source))
    }
}

impl Disk {
    /// Renames the hashed file into its place. False where it has to be copied instead.
    fn move_blob_in(
        &self,
        path: &Path,
        file: &File,
        stat: &Stat,
        digest: &Digest,
    ) -> Result<bool, StoreError> {
        if stat.st_nlink != 1 {
            return Ok(false);
        }
        let prepared = strip_attributes(file)
            .and_then(|()| self.attributes.apply(file.as_fd(), stat, false, self.recency.now_ns()));
        if prepared.is_err() {
            // Somebody else's file: we can read it, but not make it ours.
            return Ok(false);
        }
        let name = EntryName::new(digest);
        let moved = self.try_move_in(digest.function(), &name, path)?;
        if moved {
            self.memo.remember(digest, false, stat);
            self.usage.add(charge(digest.size()) as i64);
        }
        Ok(moved)
    }

    fn try_move_in(
        &self,
        function: DigestFunction,
        name: &EntryName,
        path: &Path,
    ) -> Result<bool, StoreError> {
        let mut moved = true;
        let outcome = std::cell::Cell::new(Ok(()));
        self.move_in(Area::Cas, function, name, |base| {
            outcome.set(rustix::fs::renameat(CWD, path, base, name.path()));
            match outcome.get() {
                Err(Errno::XDEV | Errno::ACCESS | Errno::PERM) => Ok(()),
                other => other,
            }
        })?;
        if outcome.get().is_err() {
            moved = false;
        }
        Ok(moved)
    }

    /// Copies a file whose digest nobody knows yet, and of a file that grows meanwhile only the first `len` bytes.
    fn copy_unknown(
        &self,
        mut from: &File,
        len: u64,
        function: DigestFunction,
    ) -> Result<(Draft<'_>, Digest), StoreError> {
        let draft = self.draft(false)?;
        let copied = if len >= REFLINK_FROM && copy::reflink(from, &draft.file) {
            copy::hash(function, &mut &draft.file, len)
        } else {
            // Not the first try, if the disk was full.
            from.rewind()
                .and_then(|()| copy::hash_while_copying(function, &mut from.take(len), &mut &draft.file, len))
        };
        let digest = copied.map_err(|error| self.draft_error("copy to", error))?;
        Ok((draft, digest))
    }

    /// Copies a file into a new blob.
    pub(super) fn copy_in(&self, expected: &Digest, source: &Path) -> Result<(), StoreError> {
        let failed = |error| self.error("read", source.to_owned(), error);
        let mut from = open_regular(source).map_err(failed)?;
        let draft = self.draft(false)?;
        let actual = if expected.size() >= REFLINK_FROM && copy::reflink(&from, &draft.file) {
            copy::hash(expected.function(), &mut &draft.file, expected.size())
        } else {
            copy::hash_while_copying(expected.function(), &mut from, &mut &draft.file, expected.size())
        };
        let actual = actual.map_err(|error| self.draft_error("copy to", error))?;
        if actual != *expected {
            return Err(StoreError::Mismatch { expected: *expected, actual });
        }
        self.publish_blob(draft, expected, false)
    }
}

/// Below this many bytes a copy is cheaper than the blocks a clone has to take apart later.
const REFLINK_FROM: u64 = 64 << 10;

/// Opens without following a link, and without waiting for the other end of a FIFO.
fn open_regular(path: &Path) -> io::Result<File> {
    let file = long_path::open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Opens a file that is to be adopted, even one that its owner made unreadable.
///
/// # Errors
/// What is not a regular file is refused; no link is followed.
pub fn open_to_adopt(path: &Path) -> io::Result<File> {
    open_given_up(path).map(|(file, _)| file)
}

/// Opens even what its owner made unreadable.
fn open_given_up(path: &Path) -> io::Result<(File, Stat)> {
    let file = match open_regular(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            rustix::fs::chmodat(CWD, path, Mode::RUSR, rustix::fs::AtFlags::empty())?;
            open_regular(path)?
        }
        other => other?,
    };
    let stat = rustix::fs::fstat(&file)?;
    Ok((file, stat))
}

/// Extended attributes (an overlay's bookkeeping, access lists, capabilities) are no part of a blob.
#[cfg(target_os = "linux")]
fn strip_attributes(file: &File) -> rustix::io::Result<()> {
    let mut names = [0; 1024];
    let len = match rustix::fs::flistxattr(file, &mut names) {
        Ok(len) => len,
        Err(Errno::NOTSUP) => 0,
        // Includes more names than fit: a copy has none of them.
        Err(error) => return Err(error),
    };
    for name in names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        rustix::fs::fremovexattr(file, name)?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn strip_attributes(_file: &File) -> rustix::io::Result<()> {
    Ok(())
}
