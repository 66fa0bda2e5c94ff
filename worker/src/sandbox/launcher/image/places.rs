//! Places in an image for what is mounted there. An image may have anything in these places, links that lead elsewhere
//! above all: the step's copy of it then gets a directory or a file instead. Nothing of the step runs yet, so that what
//! was found stays as it was.

use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, openat2};
use rustix::io::Errno;

use super::super::super::config::{IMAGE_BLOCK, INSIDE_UID};
use super::super::super::fault::{During, Fault};
use super::super::footing::Standing;
use super::super::mounts;
use super::super::view::{View, make_dirs};
use crate::Owners;
#[cfg(test)]
use crate::RootUpper;

/// Moved over from the step's copy of the view, with all that is mounted below.
const MOVED: [&str; 5] = ["proc", "dev", "tmp", "var/tmp", "workspace"];

/// What of the view belongs to the image's root.
const PRIVATE: [&str; 3] = ["tmp", "var/tmp", "dev/shm"];

/// Shown as the view has them: the same on every machine, or, with the network, the machine's.
const FILES: [&str; 3] = ["etc/hosts", "etc/hostname", "etc/resolv.conf"];

/// Directories with empty places, for below the layers of images: most images have most of them, and what is missing
/// would otherwise have to be written to the disk, and be in what the step leaves behind. One for each owner that root
/// of an image can have outside.
pub(in super::super) fn skeletons(
    stage: &Path,
    standing: Standing,
) -> Result<Vec<(Option<u32>, PathBuf)>, Fault> {
    let owners = match standing {
        Standing::Root => vec![standing.owner(), Some(IMAGE_BLOCK)],
        Standing::Namespace { ranged: true, .. } => vec![None, Some(INSIDE_UID), Some(IMAGE_BLOCK)],
        Standing::Namespace { .. } => vec![None],
    };
    let make = |(number, owner): (usize, Option<u32>)| {
        let skeleton = stage.join(format!("skeleton-{number}"));
        for name in MOVED.iter().chain(&["sys", "etc"]) {
            make_dirs(&skeleton.join(name))?;
        }
        for name in FILES {
            File::create(skeleton.join(name)).during("create a place in images")?;
        }
        for name in MOVED.iter().chain(&FILES).chain(&["", "sys", "etc", "var"]).filter(|_| owner.is_some()) {
            chown(skeleton.join(name), owner, owner).during("give a place in images its owner")?;
        }
        Ok((owner, skeleton))
    };
    owners.into_iter().enumerate().map(make).collect()
}

/// Gives the image at `root` all that a step has of its own.
pub(super) fn fill(view: &View, root: &File, owners: &Owners) -> Result<(), Fault> {
    let (uid, gid) = owners.root();
    for name in PRIVATE.iter().filter(|_| uid.is_some()) {
        chown(view.root.join(name), uid, gid).during(format!("give /{name} its owner"))?;
    }
    let places = Places { root, uid, gid };
    for name in MOVED {
        mounts::move_to(&view.root.join(name), &named(&places.directory(name)?))?;
    }
    // Nothing of the machine's, and nothing that a program could take for it.
    mounts::bind(&view.root.join("sys"), &named(&places.directory("sys")?))?;
    for name in FILES {
        mounts::bind(&view.root.join(name), &named(&places.file(name)?))?;
    }
    Ok(())
}

/// Adds a place to those that lie below an image, where it has none: in what the step wrote it would be something of the step's.
pub(super) fn add(places: &Path, place: &str, owners: &Owners) -> Result<(), Fault> {
    let (uid, gid) = owners.root();
    let mut path = places.to_owned();
    for name in std::iter::once(Path::new("")).chain(Path::new(place).iter().map(Path::new)) {
        path.push(name);
        match DirBuilder::new().mode(0o755).create(&path) {
            Ok(()) if uid.is_some() => chown(&path, uid, gid).during("give a place its owner")?,
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).during(format!("make a place for /{place}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Makes a directory of the image, whose links are followed, with all that is missing on the way. What cannot be made is
/// missing to whoever wants to start there, who says so; below `/tmp` and the like they make it themselves.
pub(super) fn make_way(root: &File, owners: &Owners, path: &str) {
    let (uid, gid) = owners.root();
    // Nothing depends on it before that.
    let _ = Places { root, uid, gid }.way(path);
}

/// Shows a directory at a place of the image.
pub(super) fn show(from: &Path, root: &File, owners: &Owners, at: &str) -> Result<(), Fault> {
    let (uid, gid) = owners.root();
    let place = Places { root, uid, gid }.directory(at)?;
    mounts::bind(from, &named(&place))
}

fn named(place: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", place.as_raw_fd()))
}

/// Finds places in an image, and makes those that are missing.
struct Places<'a> {
    root: &'a File,
    uid: Option<u32>,
    gid: Option<u32>,
}

/// Something to mount on, reached by its name alone.
const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const HERE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_XDEV);

/// A directory on the way may be a link, but not out of the image, nor into what is already mounted.
const ON_THE_WAY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const WITHIN: ResolveFlags =
    ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);

/// How often a path with `..` in it is tried: the kernel gives up when anything on the machine was mounted or renamed
/// while it looked, which is over in microseconds.
const TRIES: usize = 1000;

/// openat2(2), until nothing comes between.
pub(in super::super) fn open(
    dir: impl AsFd,
    path: &str,
    flags: OFlags,
    within: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut tries = 0;
    loop {
        match openat2(dir.as_fd(), path, flags, Mode::empty(), within) {
            Err(Errno::AGAIN | Errno::INTR) if tries < TRIES => tries += 1,
            opened => return opened,
        }
    }
}

impl Places<'_> {
    fn directory(&self, path: &str) -> Result<OwnedFd, Fault> {
        self.find(path, FileType::Directory)
            .map_err(std::io::Error::from)
            .during(format!("make /{path} in the image"))
    }

    fn file(&self, path: &str) -> Result<OwnedFd, Fault> {
        self.find(path, FileType::RegularFile)
            .map_err(std::io::Error::from)
            .during(format!("make /{path} in the image"))
    }

    fn find(&self, path: &str, kind: FileType) -> Result<OwnedFd, Errno> {
        let Some((parent, name)) = path.rsplit_once('/') else {
            return self.entry(self.root, path, kind);
        };
        let linked = open(self.root, parent, ON_THE_WAY, WITHIN);
        if let Ok(found) = linked.and_then(|linked| self.entry(&linked, name, kind)) {
            return Ok(found);
        }
        let parent = self.entry(self.root, parent, FileType::Directory)?;
        self.entry(&parent, name, kind)
    }

    fn way(&self, path: &str) -> Result<(), Errno> {
        let mut here: Option<OwnedFd> = None;
        let mut so_far = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            so_far.push_str(if so_far.is_empty() { "" } else { "/" });
            so_far.push_str(name);
            here = Some(match (open(self.root, &so_far, ON_THE_WAY, WITHIN), &here) {
                (Err(Errno::NOENT), Some(here)) => self.make(here, name, FileType::Directory)?,
                (Err(Errno::NOENT), None) => self.make(self.root, name, FileType::Directory)?,
                (found, _) => found?,
            });
        }
        Ok(())
    }

    /// What is at a name in a directory, if it is of this kind; otherwise something that is, in its place.
    fn entry(&self, dir: impl AsFd, name: &str, kind: FileType) -> Result<OwnedFd, Errno> {
        let dir = dir.as_fd();
        match open(dir, name, PLACE, HERE) {
            Ok(found) if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) == kind => {
                return Ok(found);
            }
            Ok(_) | Err(Errno::LOOP) => rustix::fs::unlinkat(dir, name, AtFlags::empty())?,
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        self.make(dir, name, kind)
    }

    fn make(&self, dir: impl AsFd, name: &str, kind: FileType) -> Result<OwnedFd, Errno> {
        let dir = dir.as_fd();
        if kind == FileType::Directory {
            rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755))?;
        } else {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644))?;
        }
        let made = open(dir, name, PLACE, HERE)?;
        let (uid, gid) = (self.uid.map(Uid::from_raw), self.gid.map(Gid::from_raw));
        if uid.is_some() {
            rustix::fs::chownat(&made, "", uid, gid, AtFlags::EMPTY_PATH)?;
        }
        Ok(made)
    }
}

#[test]
fn what_is_mounted_on_is_known_to_whoever_keeps_roots() {
    let ours: Vec<&str> = MOVED.iter().chain(&["sys"]).chain(&FILES).copied().collect();
    assert_eq!(ours, RootUpper::MOUNTED);
}
