//! Layers made one directory. Files of published layers are linked, which no step can write to; so are those of the
//! uppermost, unless somebody may still hold them open.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, fstat};
use rustix::io::Errno;

use super::VolumeError;
use super::tidy::{Size, open_root};
use crate::layers::{Entry, LayerSet, Place, Places, Workspace, open_dir, open_dir_unlocking};

/// What to make one.
pub(super) struct Flattening<'a> {
    /// Uppermost first.
    pub(super) layers: &'a [PathBuf],
    /// Whether files of the uppermost are copied.
    pub(super) copy_upper: bool,
    pub(super) owner: Option<(u32, u32)>,
    /// Bytes that it may take.
    pub(super) most: u64,
}

impl Flattening<'_> {
    /// Makes `target`, which does not exist, the directory that the layers show.
    pub(super) fn make(&self, target: &Path) -> Result<Size, VolumeError> {
        let failed = |error: io::Error| VolumeError::io("merge the layers of a volume into", target)(error);
        let merged = Workspace::open(self.layers, Path::new("")).map_err(failed)?;
        rustix::fs::mkdir(target, Mode::RWXU).map_err(|error| failed(error.into()))?;
        let mut work = Work {
            merged: &merged,
            target: open_root(target)?,
            places: Places::default(),
            made: Vec::new(),
            size: Size::default(),
        };
        let start = work.places.start(b"");
        let mut pending = vec![(start, merged.root())];
        while let Some((place, layers)) = pending.pop() {
            match self.directory(&mut work, place, layers) {
                Ok(below) => pending.extend(below),
                Err(Stopped::Io(error)) => return Err(failed(error)),
                Err(Stopped::Volume(error)) => return Err(error),
            }
        }
        work.set_times().map_err(failed)?;
        Ok(work.size)
    }

    /// Fills one directory, and gives those in it.
    fn directory(
        &self,
        work: &mut Work<'_>,
        place: Place,
        layers: LayerSet,
    ) -> Result<Vec<(Place, LayerSet)>, Stopped> {
        let path = work.places.path(place);
        let top = layers.iter().next().unwrap_or_default();
        let parts: Vec<(usize, OwnedFd)> = layers
            .iter()
            .map(|layer| Ok((layer, work.merged.open_dir(layer, &path)?)))
            .collect::<io::Result<_>>()?;
        let target = open_dir(work.target.as_fd(), &path)?;
        let like = parts.iter().find(|(layer, _)| *layer == top).map(|(_, part)| fstat(part)).transpose()?;
        if let Some(like) = like {
            rustix::fs::fchmod(&target, Mode::from_raw_mode((like.st_mode & 0o1777) | 0o700))?;
            work.size.add(&like, self.most)?;
            work.made.push((place, like));
        }
        self.own(&target)?;
        let mut below = Vec::new();
        for (name, entry) in work.merged.list(&path, layers, u64::MAX)?.unwrap_or_default() {
            match entry {
                Entry::Directory(layers) => {
                    rustix::fs::mkdirat(&target, &*name, Mode::RWXU)?;
                    below.push((work.places.child(place, &name), layers));
                }
                Entry::File(file) => {
                    let Some((_, part)) = parts.iter().find(|(layer, _)| *layer == file.layer) else {
                        continue;
                    };
                    let stat = self.file(part, &target, &name, self.copy_upper && file.layer == 0)?;
                    work.size.add(&stat, self.most)?;
                }
                Entry::Symlink(to) => {
                    rustix::fs::symlinkat(&*to, &target, &*name)?;
                    self.own_link(&target, &name)?;
                    let stat = rustix::fs::statat(&target, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
                    work.size.add(&stat, self.most)?;
                }
                Entry::Special(_) => {}
            }
        }
        Ok(below)
    }

    fn file(&self, from: &OwnedFd, to: &OwnedFd, name: &[u8], copy: bool) -> io::Result<Stat> {
        if !copy {
            match rustix::fs::linkat(from, name, to, name, AtFlags::empty()) {
                Ok(()) => return Ok(rustix::fs::statat(to, name, AtFlags::SYMLINK_NOFOLLOW)?),
                // A file has as many names as it can have, or the filesystem has no such names.
                Err(Errno::MLINK | Errno::PERM | Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut source = File::from(rustix::fs::openat(from, name, flags, Mode::empty())?);
        let stat = fstat(&source)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut copied = File::from(rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?);
        // Where the filesystem can share blocks, this does.
        io::copy(&mut source, &mut copied)?;
        self.own(&copied)?;
        rustix::fs::fchmod(&copied, Mode::from_raw_mode(stat.st_mode & 0o1777))?;
        rustix::fs::futimens(&copied, &times(&stat))?;
        Ok(fstat(&copied)?)
    }

    fn own(&self, file: impl std::os::fd::AsFd) -> io::Result<()> {
        let Some((uid, gid)) = self.owner else { return Ok(()) };
        Ok(rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?)
    }

    fn own_link(&self, at: &OwnedFd, name: &[u8]) -> io::Result<()> {
        let Some((uid, gid)) = self.owner else { return Ok(()) };
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        Ok(rustix::fs::chownat(at, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
    }
}

/// What has been made so far.
struct Work<'a> {
    merged: &'a Workspace,
    target: OwnedFd,
    places: Places,
    /// Directories, whose times change as long as something is made in them.
    made: Vec<(Place, Stat)>,
    size: Size,
}

impl Work<'_> {
    fn set_times(&self) -> io::Result<()> {
        for (place, stat) in &self.made {
            let dir = open_dir_unlocking(self.target.as_fd(), &self.places.path(*place))?;
            rustix::fs::futimens(&dir, &times(stat))?;
        }
        Ok(())
    }
}

#[allow(clippy::useless_conversion, reason = "the widths in struct stat differ between architectures")]
fn times(stat: &Stat) -> Timestamps {
    let modified =
        Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec.try_into().unwrap_or_default() };
    Timestamps { last_access: modified, last_modification: modified }
}

enum Stopped {
    Io(io::Error),
    Volume(VolumeError),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for Stopped {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

impl From<VolumeError> for Stopped {
    fn from(error: VolumeError) -> Self {
        Self::Volume(error)
    }
}
