//! Owners, permissions, attributes and times of what a layer brings along.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::attributes::allowed;
use super::path::LayerPath;
use super::root::{DirectoryMeta, failed};
use super::{LayerError, Notes, Owners, shown};
use crate::tarball::{Entry, Time};

/// What a directory gives to whatever is made in it.
pub(super) const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// Applies metadata and remembers what could not be.
pub(super) struct Meta {
    pub(super) owners: Owners,
    pub(super) notes: Notes,
}

impl Meta {
    /// All of a file. The order matters: a change of owner takes away setuid bits and capabilities.
    pub(super) fn file(
        &mut self,
        path: &LayerPath,
        file: impl AsFd,
        entry: &Entry,
    ) -> Result<(), LayerError> {
        let file = file.as_fd();
        if let Some((uid, gid)) = self.owner(entry.uid, entry.gid) {
            let done = rustix::fs::fchown(file, Some(uid), Some(gid));
            self.owned(path, done)?;
        }
        let mode = Mode::from_raw_mode(entry.mode);
        rustix::fs::fchmod(file, mode).map_err(|error| failed("set the mode of", path, error))?;
        self.attributes(path, file, entry.xattrs.iter())?;
        rustix::fs::futimens(file, &times(entry.mtime))
            .map_err(|error| failed("set the time of", path, error))
    }

    /// Owner and time of a link; Linux keeps neither permissions nor `user` attributes for one.
    pub(super) fn link(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: &LayerPath,
        entry: &Entry,
    ) -> Result<(), LayerError> {
        if let Some((uid, gid)) = self.owner(entry.uid, entry.gid) {
            let done = rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
            self.owned(path, done)?;
        }
        for (attribute, _) in &entry.xattrs {
            self.without(path, attribute);
        }
        rustix::fs::utimensat(dir, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed("set the time of", path, error))
    }

    /// What a directory gets when nothing more goes into it.
    pub(super) fn directory(
        &mut self,
        path: &LayerPath,
        dir: BorrowedFd<'_>,
        meta: &DirectoryMeta,
    ) -> Result<(), LayerError> {
        if let Some((uid, gid)) = self.owner(meta.uid, meta.gid) {
            let done = rustix::fs::fchown(dir, Some(uid), Some(gid));
            self.owned(path, done)?;
        }
        rustix::fs::fchmod(dir, Mode::from_raw_mode(meta.mode))
            .map_err(|error| failed("set the mode of", path, error))?;
        if let Some(acl) = &meta.default_acl {
            self.attribute(path, dir, (DEFAULT_ACL, acl))?;
        }
        rustix::fs::futimens(dir, &times(meta.mtime)).map_err(|error| failed("set the time of", path, error))
    }

    /// Extended attributes, as far as they are permitted.
    pub(super) fn attributes<'x>(
        &mut self,
        path: &LayerPath,
        file: BorrowedFd<'_>,
        mut xattrs: impl Iterator<Item = &'x (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), LayerError> {
        xattrs.try_for_each(|(name, value)| self.attribute(path, file, (name, value)))
    }

    fn attribute(
        &mut self,
        path: &LayerPath,
        file: BorrowedFd<'_>,
        (name, value): (&[u8], &[u8]),
    ) -> Result<(), LayerError> {
        if !allowed(name) {
            self.without(path, name);
            return Ok(());
        }
        match rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()) {
            Ok(()) => Ok(()),
            // No such attributes in this file system, for this kind of file, of this size, or for this user.
            Err(
                Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::TOOBIG | Errno::RANGE,
            ) => {
                self.without(path, name);
                Ok(())
            }
            Err(error) => Err(failed("set an attribute of", path, error)),
        }
    }

    fn without(&mut self, path: &LayerPath, name: &[u8]) {
        self.notes.attributes += 1;
        self.notes.example(|| format!("{} without its attribute {}", shown(path.bytes()), shown(name)));
    }

    fn owner(&mut self, uid: u32, gid: u32) -> Option<(Uid, Gid)> {
        match self.owners {
            Owners::Kept => Some((Uid::from_raw(uid), Gid::from_raw(gid))),
            Owners::Unpacker => {
                self.notes.owners += u64::from((uid, gid) != (0, 0));
                None
            }
            Owners::Given(given) => {
                let found = given.of(uid, gid);
                self.notes.owners += u64::from(found.is_none());
                // Whose number no image has is as good as root's.
                found.or_else(|| given.of(0, 0)).map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid)))
            }
        }
    }

    fn owned(&mut self, path: &LayerPath, done: Result<(), Errno>) -> Result<(), LayerError> {
        match done {
            // Root of a user namespace that does not have this owner.
            Err(Errno::PERM | Errno::INVAL) => {
                self.notes.owners += 1;
                self.notes.example(|| format!("{} without its owner", shown(path.bytes())));
                Ok(())
            }
            done => done.map_err(|error| failed("set the owner of", path, error)),
        }
    }
}

fn times(mtime: Time) -> Timestamps {
    let time = Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}
