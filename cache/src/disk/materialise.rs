//! Blobs that become files outside the cache.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cullet_digest::Digest;
use rustix::fs::{AtFlags, CWD};
use rustix::io::Errno;

use super::attributes;
use super::bases::Area;
use super::copy;
use super::name::EntryName;
use super::store::{Disk, DiskStore, is_the_empty_blob};
use crate::StoreError;

/// How often a blob that is there is linked. Whoever stores the same blob at the same moment replaces its inode, and
/// the kernel refuses to link one that has just lost its last name as if it were not there. Each try that ends so
/// has met one more of them, and there are never many: they look first whether the blob is there.
const LINK_TRIES: usize = 8;

impl DiskStore {
    /// Makes `dest`, which must not exist, a hard link to the blob; a copy with the same attributes where that
    /// cannot be (another filesystem, too many links, a cache of another user). Only for places where nothing
    /// can write through the link, such as the lower side of an overlay.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where the blob is not there, [`StoreError::Mismatch`] where it was damaged; it is
    /// removed then.
    pub fn link_to(&self, digest: &Digest, executable: bool, dest: &Path) -> Result<(), StoreError> {
        if !self.disk.ensure_variant(digest, executable)? {
            return self.disk.imitate(digest, false, executable, dest);
        }
        let name = EntryName::variant(digest, executable);
        let disk = &*self.disk;
        let linked = disk.at(Area::Cas, digest.function(), &name, |base| {
            for _ in 1..LINK_TRIES {
                match rustix::fs::linkat(base, name.path(), CWD, dest, AtFlags::empty()) {
                    // Of the blob, or of the directory of `dest`; asked apart below.
                    Err(Errno::NOENT) if !disk.exists(digest) => return Err(Errno::NOENT),
                    Err(Errno::NOENT) => {}
                    outcome => return Ok(outcome),
                }
            }
            Ok(rustix::fs::linkat(base, name.path(), CWD, dest, AtFlags::empty()))
        })?;
        match linked {
            Some(Ok(())) => Ok(()),
            Some(Err(Errno::XDEV | Errno::MLINK | Errno::PERM | Errno::NOTSUP)) => {
                disk.imitate(digest, executable, executable, dest)
            }
            None => Err(StoreError::NotFound { digest: *digest }),
            Some(Err(error)) => Err(StoreError::io("link a blob to", dest, error.into())),
        }
    }

    /// Writes the blob to `dest`, replacing what is there in one instant, with `mode` less the umask. Never a
    /// link: what is made is the user's to change.
    ///
    /// # Errors
    /// As for [`DiskStore::link_to`].
    pub fn copy_to(&self, digest: &Digest, dest: &Path, mode: u32) -> Result<(), StoreError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        if !is_the_empty_blob(digest) {
            self.disk.verified(digest, false)?;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let beside = dest.with_file_name(format!(".cullet-{}-{number}", std::process::id()));
        let written = self
            .disk
            .copy_out(digest, false, &beside, mode)
            .and_then(|_| fs::rename(&beside, dest).map_err(|error| StoreError::io("write", dest, error)));
        written.inspect_err(|_| drop(fs::remove_file(&beside)))
    }
}

impl Disk {
    /// Makes sure that there is a sound inode of that mode. False where nothing can be written and it is the
    /// plain one that is sound.
    fn ensure_variant(self: &Arc<Self>, digest: &Digest, executable: bool) -> Result<bool, StoreError> {
        if self.layout.is_read_only() {
            return self.find_variant(digest, executable);
        }
        if is_the_empty_blob(digest) {
            self.ensure_empty(digest)?;
        }
        if !executable {
            return if is_the_empty_blob(digest) { Ok(()) } else { self.verified(digest, false) }
                .map(|()| true);
        }
        // The plain inode is what makes the blob present, so it must live as long.
        self.find(Area::Cas, digest.function(), &EntryName::new(digest))?
            .ok_or(StoreError::NotFound { digest: *digest })?;
        match self.verified(digest, true) {
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => {
                self.with_room(digest.size(), || self.make_executable(digest))
            }
            outcome => outcome,
        }
        .map(|()| true)
    }

    /// As [`Self::ensure_variant`] where nothing can be written. A damaged executable one has to stay there, so
    /// it must not be taken merely because it exists.
    fn find_variant(&self, digest: &Digest, executable: bool) -> Result<bool, StoreError> {
        if is_the_empty_blob(digest) {
            // There may be no inode, and a new one costs nothing.
            return Ok(false);
        }
        if executable {
            match self.verified(digest, true) {
                Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => {}
                outcome => return outcome.map(|()| true),
            }
        }
        self.verified(digest, false).map(|()| !executable)
    }

    /// The empty blob need not be stored to be there, but a link needs an inode.
    fn ensure_empty(&self, digest: &Digest) -> Result<(), StoreError> {
        if self.find(Area::Cas, digest.function(), &EntryName::new(digest))?.is_some() {
            return Ok(());
        }
        self.publish_blob(self.draft(false)?, digest, false)
    }

    fn make_executable(&self, digest: &Digest) -> Result<(), StoreError> {
        self.verified(digest, false)?;
        let source = self.open_blob(digest, false)?;
        let draft = self.draft(true)?;
        copy::copy(&source, &draft.file).map_err(|error| self.draft_error("copy to", error))?;
        self.publish_blob(draft, digest, true)
    }

    /// A file like the link would have been, copied from the inode of the mode `from`.
    fn imitate(&self, digest: &Digest, from: bool, executable: bool, dest: &Path) -> Result<(), StoreError> {
        let failed = |error: io::Error| StoreError::io("write", dest, error);
        let file = self.copy_out(digest, from, dest, attributes::mode(executable).bits())?;
        let stat = rustix::fs::fstat(&file).map_err(|error| failed(error.into()))?;
        self.attributes
            .apply(file.as_fd(), &stat, executable, self.recency.now_ns())
            .map_err(|error| failed(error.into()))
    }

    fn copy_out(&self, digest: &Digest, from: bool, dest: &Path, mode: u32) -> Result<File, StoreError> {
        let failed = |error| StoreError::io("write", dest, error);
        let source = if is_the_empty_blob(digest) { None } else { Some(self.open_blob(digest, from)?) };
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(mode)
            .custom_flags(libc::O_NOFOLLOW)
            .open(dest)
            .map_err(failed)?;
        if let Some(source) = source {
            copy::copy(&source, &file).map_err(failed)?;
        }
        Ok(file)
    }

    fn open_blob(&self, digest: &Digest, executable: bool) -> Result<File, StoreError> {
        let path = self.layout.path(Area::Cas, digest.function(), &EntryName::variant(digest, executable));
        File::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::NotFound { digest: *digest },
            _ => self.error("read", path, error),
        })
    }
}
