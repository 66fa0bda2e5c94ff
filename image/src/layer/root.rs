//! The directory of a layer while it is filled. Every name is resolved by the kernel below that directory and
//! without following a link, so that nothing an archive brings along can lead elsewhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::path::LayerPath;
use super::whiteout::{self, Markers};
use super::{LayerError, shown};
use crate::tarball::Time;

/// What a directory gets when the layer is whole: earlier, it would be in the way of its own entries.
#[derive(Debug, Clone, Default)]
pub(super) struct DirectoryMeta {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Time,
    /// Hides what lower layers have in it.
    pub(super) opaque: bool,
    /// Has whiteouts that are files with an attribute.
    pub(super) attribute_whiteouts: bool,
    /// The attribute of that name.
    pub(super) default_acl: Option<Vec<u8>>,
}

/// A directory that no entry describes, but others need.
const IMPLIED: DirectoryMeta = DirectoryMeta {
    mode: 0o755,
    uid: 0,
    gid: 0,
    mtime: Time { seconds: 0, nanos: 0 },
    opaque: false,
    attribute_whiteouts: false,
    default_acl: None,
};

/// The most bytes that names of directories, and attributes kept with them, may take in memory: two million directories
/// of common length.
const DIRECTORY_NAMES: usize = 128 << 20;

pub(super) struct Root {
    fd: OwnedFd,
    pub(super) markers: Markers,
    pub(super) directories: BTreeMap<LayerPath, DirectoryMeta>,
    /// How many there may be, those that no entry describes included: a name of a few bytes can imply a hundred.
    most: u64,
    /// Bytes of their names and attributes.
    names: usize,
    /// The directory opened last: entries of one directory mostly follow each other.
    last: Option<(LayerPath, OwnedFd)>,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
/// Owner only, until it is whole.
const WORKING: Mode = Mode::RWXU;

impl Root {
    /// Fills an existing, empty directory with no more than so many others.
    pub(super) fn new(dir: &Path, markers: Markers, most: u64) -> Result<Self, LayerError> {
        let fd = rustix::fs::open(dir, DIRECTORY, Mode::empty())
            .map_err(|error| LayerError::io("open", dir, error))?;
        let directories = BTreeMap::from([(LayerPath::default(), IMPLIED)]);
        Ok(Self { fd, markers, directories, most, names: 0, last: None })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens what has to be a directory of this layer.
    pub(super) fn open(&self, path: &LayerPath) -> Result<OwnedFd, Errno> {
        let name = if path.is_root() { b"." } else { path.bytes() };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        // Interrupted or raced by a rename elsewhere, the kernel asks to be asked again.
        for _ in 0..AGAIN {
            match rustix::fs::openat2(&self.fd, name, DIRECTORY, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => (),
                opened => return opened,
            }
        }
        Err(Errno::AGAIN)
    }

    /// The directory of an entry, made where nothing described it.
    pub(super) fn parent(&mut self, path: &LayerPath) -> Result<BorrowedFd<'_>, LayerError> {
        if self.last.as_ref().is_none_or(|(last, _)| last != path) {
            let fd = match self.open(path) {
                Err(Errno::NOENT | Errno::NOTDIR) => self.make_way(path)?,
                opened => opened.map_err(|error| through(path, error))?,
            };
            self.last = Some((path.clone(), fd));
        }
        let (_, fd) = self.last.as_ref().ok_or_else(|| through(path, Errno::NOENT))?;
        Ok(fd.as_fd())
    }

    /// Makes a directory and those above it.
    fn make_way(&mut self, path: &LayerPath) -> Result<OwnedFd, LayerError> {
        let mut ends: Vec<usize> = vec![path.bytes().len()];
        ends.extend(path.bytes().iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at));
        ends.sort_unstable();
        for end in ends {
            let part = LayerPath::read(&path.bytes()[..end])?;
            match self.open(&part) {
                Ok(_) => (),
                Err(Errno::NOTDIR) if !self.is_whiteout(&part)? => return Err(through(path, Errno::NOTDIR)),
                Err(Errno::NOENT | Errno::NOTDIR) => self.make_directory(&part, IMPLIED)?,
                Err(error) => return Err(through(path, error)),
            }
        }
        self.open(path).map_err(|error| through(path, error))
    }

    /// Makes a directory, or gives one that is there what an entry says of it.
    pub(super) fn make_directory(&mut self, path: &LayerPath, meta: DirectoryMeta) -> Result<(), LayerError> {
        let Some((parent, name)) = path.split() else { return self.describe(path, meta) };
        let mut opaque = false;
        match rustix::fs::mkdirat(self.parent(&parent)?, name, WORKING) {
            Ok(()) => (),
            Err(Errno::EXIST) => match self.occupant(&parent, name)? {
                Occupant::Directory => (),
                // The entry before said that lower layers' directory of this name is gone; this is another one.
                occupant => {
                    opaque = occupant == Occupant::Whiteout;
                    self.make_room(path)?;
                    rustix::fs::mkdirat(self.parent(&parent)?, name, WORKING)
                        .map_err(|error| failed("make directory", path, error))?;
                }
            },
            Err(error) => return Err(failed("make directory", path, error)),
        }
        self.describe(path, DirectoryMeta { opaque, ..meta })
    }

    /// Remembers what a directory gets at the end; what an earlier entry made of it for overlayfs stays.
    fn describe(&mut self, path: &LayerPath, meta: DirectoryMeta) -> Result<(), LayerError> {
        self.names += meta.default_acl.as_ref().map_or(0, Vec::len);
        let count = self.directories.len() as u64;
        match self.directories.get_mut(path) {
            Some(known) => {
                let opaque = known.opaque || meta.opaque;
                let attribute_whiteouts = known.attribute_whiteouts;
                let default_acl = meta.default_acl.or_else(|| known.default_acl.take());
                *known = DirectoryMeta { opaque, attribute_whiteouts, default_acl, ..meta };
            }
            // The root is one, and none of the layer's.
            None if count > self.most => {
                return Err(LayerError::Limit { what: "directories", limit: self.most });
            }
            None => {
                self.names += path.bytes().len();
                self.directories.insert(path.clone(), meta);
            }
        }
        if self.names > DIRECTORY_NAMES {
            let limit = DIRECTORY_NAMES as u64;
            return Err(LayerError::Limit { what: "bytes in names of directories", limit });
        }
        Ok(())
    }

    /// Removes what an earlier entry of the same archive put where another one goes. Only an empty directory gives
    /// way to something else: an archive that has a directory with entries and a file of that name is read
    /// differently by different programs.
    pub(super) fn make_room(&mut self, path: &LayerPath) -> Result<(), LayerError> {
        let Some((parent, name)) = path.split() else {
            return Err(LayerError::entry(b"/", "is the root, and no directory"));
        };
        let is_directory = self.occupant(&parent, name)? == Occupant::Directory;
        let flags = if is_directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match rustix::fs::unlinkat(self.parent(&parent)?, name, flags) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                return Err(LayerError::entry(
                    path.bytes(),
                    "replaces a directory of the same layer that has entries",
                ));
            }
            removed => removed.map_err(|error| failed("replace", path, error))?,
        }
        self.last = None;
        self.directories.remove(path);
        Ok(())
    }

    fn is_whiteout(&mut self, path: &LayerPath) -> Result<bool, LayerError> {
        let Some((parent, name)) = path.split() else { return Ok(false) };
        Ok(self.occupant(&parent, name)? == Occupant::Whiteout)
    }

    /// What is there under a name.
    pub(super) fn occupant(&mut self, parent: &LayerPath, name: &[u8]) -> Result<Occupant, LayerError> {
        let dir = self.parent(parent)?;
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Occupant::Nothing),
            stat => stat.map_err(|error| failed("look at", parent, error))?,
        };
        let whiteout = whiteout::is(dir, name, &stat)
            .map_err(|error| LayerError::io("look at", named(parent, name), error))?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Occupant::Directory,
            _ if whiteout => Occupant::Whiteout,
            _ => Occupant::Other,
        })
    }

    /// A new file. What had its name gives way.
    pub(super) fn create(&mut self, path: &LayerPath) -> Result<File, LayerError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let made = self.place(path, |dir, name| rustix::fs::openat(dir, name, flags, mode));
        made.map(File::from)
    }

    /// Puts something under a name that was free or is made so.
    pub(super) fn place<T>(
        &mut self,
        path: &LayerPath,
        make: impl Fn(BorrowedFd<'_>, &[u8]) -> Result<T, Errno>,
    ) -> Result<T, LayerError> {
        let Some((parent, name)) = path.split() else {
            return Err(LayerError::entry(b"/", "is the root, and no directory"));
        };
        let made = match make(self.parent(&parent)?, name) {
            Err(Errno::EXIST) => {
                self.make_room(path)?;
                make(self.parent(&parent)?, name)
            }
            made => made,
        };
        made.map_err(|error| failed("create", path, error))
    }
}

/// More than an honest machine needs.
const AGAIN: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occupant {
    Nothing,
    Directory,
    Whiteout,
    Other,
}

/// A directory of an entry could not be opened.
fn through(path: &LayerPath, error: Errno) -> LayerError {
    match error {
        Errno::LOOP => LayerError::entry(path.bytes(), "leads through a symbolic link"),
        Errno::NOTDIR => LayerError::entry(path.bytes(), "is entered as a directory, but is none"),
        Errno::XDEV => LayerError::entry(path.bytes(), "leads out of the layer"),
        Errno::NOSYS => LayerError::io("open with openat2, which takes Linux 5.6,", path_of(path), error),
        error => failed("open", path, error),
    }
}

pub(super) fn failed(action: &'static str, path: &LayerPath, error: impl Into<io::Error>) -> LayerError {
    LayerError::io(action, path_of(path), error)
}

fn path_of(path: &LayerPath) -> PathBuf {
    shown(path.bytes()).into()
}

fn named(parent: &LayerPath, name: &[u8]) -> PathBuf {
    path_of(parent).join(shown(name))
}
