//! Writing: a draft under `tmp/`, renamed into place when it is whole.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::sync::Arc;

use cullet_digest::{Digest, DigestFunction};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::attributes;
use super::bases::Area;
use super::name::EntryName;
use super::scratch::Scratch;
use super::store::{Disk, DiskStore, is_the_empty_blob};
use super::usage::charge;
use crate::StoreError;

/// A file in the making; removed again unless it is published.
pub(super) struct Draft<'a> {
    pub(super) file: File,
    scratch: &'a Scratch,
    name: Option<String>,
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            self.scratch.remove(name);
        }
    }
}

impl DiskStore {
    /// Stores bytes, unless they are there already. Blocking, for tens of microseconds where they are few.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] where they are not those of the digest; nothing is stored then.
    pub fn put_bytes_blocking(&self, digest: &Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let actual = digest.function().digest(bytes);
        if actual != *digest {
            return Err(StoreError::Mismatch { expected: *digest, actual });
        }
        if is_the_empty_blob(digest) || self.has(digest)? {
            return Ok(());
        }
        self.disk.with_room(digest.size(), || {
            let mut draft = self.disk.draft(false)?;
            self.disk.write(&mut draft, bytes)?;
            self.disk.publish_blob(draft, digest, false)
        })
    }
}

impl Disk {
    /// An empty file.
    pub(super) fn draft(&self, executable: bool) -> Result<Draft<'_>, StoreError> {
        let scratch = self.layout.scratch()?;
        let name = scratch.fresh();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(scratch.drafts(), &*name, flags, attributes::mode(executable))
            .map_err(|error| self.draft_error("create a file in", error.into()))?;
        Ok(Draft { file: fd.into(), scratch, name: Some(name) })
    }

    /// Adds bytes to a draft.
    pub(super) fn write(&self, draft: &mut Draft<'_>, bytes: &[u8]) -> Result<(), StoreError> {
        draft.file.write_all(bytes).map_err(|error| self.draft_error("write to", error))
    }

    /// An error about a file in the making, whose name means nothing to anybody.
    pub(super) fn draft_error(&self, action: &'static str, error: std::io::Error) -> StoreError {
        self.error(action, self.layout.root().join("tmp"), error)
    }

    /// Gives a whole blob its attributes and its name.
    pub(super) fn publish_blob(
        &self,
        draft: Draft<'_>,
        digest: &Digest,
        executable: bool,
    ) -> Result<(), StoreError> {
        let failed = |error: Errno| self.draft_error("finish", error.into());
        let stat = rustix::fs::fstat(&draft.file).map_err(failed)?;
        self.attributes
            .apply(draft.file.as_fd(), &stat, executable, self.recency.now_ns())
            .map_err(failed)?;
        let name = EntryName::variant(digest, executable);
        self.publish(draft, Area::Cas, digest.function(), &name)?;
        self.memo.remember(digest, executable, &stat);
        self.usage.add(charge(digest.size()) as i64);
        Ok(())
    }

    /// Gives a whole file its name, in place of whatever has it.
    pub(super) fn publish(
        &self,
        mut draft: Draft<'_>,
        area: Area,
        function: DigestFunction,
        name: &EntryName,
    ) -> Result<(), StoreError> {
        if let Some(made) = draft.name.take() {
            let from = draft.scratch.drafts();
            self.move_in(area, function, name, |base| rustix::fs::renameat(from, &*made, base, name.path()))
                .inspect_err(|_| draft.scratch.remove(&made))?;
        }
        Ok(())
    }

    /// Runs an operation that puts an entry into its shard, making the shard if it is the first there.
    pub(super) fn move_in(
        &self,
        area: Area,
        function: DigestFunction,
        name: &EntryName,
        operation: impl Fn(std::os::fd::BorrowedFd<'_>) -> rustix::io::Result<()>,
    ) -> Result<(), StoreError> {
        let read_only = || StoreError::ReadOnly { path: self.layout.root().to_owned() };
        let base = self.layout.bases().get(area, function).ok_or_else(read_only)?;
        let mut outcome = operation(base);
        if outcome == Err(Errno::NOENT) {
            outcome = match make_shard(self.layout.scratch()?, base, name) {
                Ok(()) | Err(Errno::EXIST) => operation(base),
                Err(error) => Err(error),
            };
        }
        outcome.map_err(|error| self.failed("store", area, function, name, error))
    }

    /// Runs a write of about `size` bytes within the bound; makes room and tries once more where the disk is
    /// full.
    pub(super) fn with_room<T>(
        self: &Arc<Self>,
        size: u64,
        write: impl Fn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.layout.scratch()?;
        self.reserve(size)?;
        match write() {
            Err(StoreError::NoSpace { .. }) if self.free_disk(size) => write(),
            outcome => outcome,
        }
    }

    /// Removes an entry that is not what it should be, or that nobody wants; it may be gone already.
    pub(super) fn unlink(
        &self,
        area: Area,
        function: DigestFunction,
        name: &EntryName,
        size: u64,
    ) -> Result<(), StoreError> {
        self.layout.scratch()?;
        let Some(base) = self.layout.bases().get(area, function) else { return Ok(()) };
        match rustix::fs::unlinkat(base, name.path(), AtFlags::empty()) {
            Ok(()) => {
                self.usage.add(-(charge(size) as i64));
                Ok(())
            }
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(self.failed("remove", area, function, name, error)),
        }
    }
}

/// Made among the drafts and moved from there: where ext4 is slow to make anything, it would be so in `base`.
fn make_shard(
    scratch: &Scratch,
    base: std::os::fd::BorrowedFd<'_>,
    name: &EntryName,
) -> rustix::io::Result<()> {
    const MODE: Mode = Mode::from_raw_mode(0o755);
    let (drafts, made) = (scratch.drafts(), scratch.fresh());
    rustix::fs::mkdirat(drafts, &*made, MODE)?;
    let moved = rustix::fs::renameat_with(drafts, &*made, base, name.shard(), RenameFlags::NOREPLACE);
    let Err(error) = moved else { return Ok(()) };
    let _ = rustix::fs::unlinkat(drafts, &*made, AtFlags::REMOVEDIR);
    match error {
        Errno::EXIST => Err(error),
        // Not every filesystem can move without replacing.
        _ => rustix::fs::mkdirat(base, name.shard(), MODE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn a_shard_that_another_process_has_made_meanwhile_stays() {
        let [tmp, base] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let scratch = Scratch::create(tmp.path()).unwrap();
        let dir = File::open(base.path()).unwrap();
        let name = EntryName::of_hash(&[0xab; 32], false);
        let shard = base.path().join("ab");
        make_shard(&scratch, dir.as_fd(), &name).unwrap();
        let made = fs::metadata(&shard).unwrap();
        assert_eq!(make_shard(&scratch, dir.as_fd(), &name), Err(Errno::EXIST));
        assert_eq!(fs::metadata(&shard).unwrap().ino(), made.ino());
        let drafts = fs::read_dir(scratch.path()).unwrap().next().unwrap().unwrap().path();
        assert_eq!(fs::read_dir(drafts).unwrap().count(), 0);
    }
}
