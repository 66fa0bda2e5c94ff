//! The volumes of a step, each mounted where the step expects it. A place that is missing is made, in the step's own copy of
//! the world: in its private directories and its workspace as a directory, in the view of the machine by covering the last
//! directory on the way that exists, in an image by a layer below all others.
//!
//! Nothing here is worth a step: what cannot be mounted is written down beside what would have been mounted, and the step has
//! an empty directory, or none.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use rustix::fs::{FileType, Gid, Mode, OFlags, ResolveFlags, Uid, openat2};
use rustix::io::Errno;

use super::super::fault::{During, Fault};
use super::super::protocol::StepRequest;
use super::footing::Standing;
use super::mounts;
use super::step_root::open_dir;
use super::sys::attr;
use super::view::View;
use crate::VolumeMount;

/// Writable places of the step's own in every world; an image gets them with all that is mounted in them.
const PRIVATE: [&str; 3] = ["/tmp/", "/var/tmp/", "/workspace/"];

/// In the step's own tmpfs: places for an image's lowest layer, and a directory with nothing in it.
const PLACES: &str = "places";
const NOTHING: &str = "nothing";

/// Names in a directory of the machine that are shown again, each by a mount, to make one more beside them.
const MOST_NAMES: usize = 500;

const PLACE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const PLAIN: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
/// Links of an image lead to somewhere in it, and never into what is mounted there.
const LINKED: ResolveFlags =
    ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);

/// Volumes on their way.
pub(super) struct Mounting<'a> {
    view: &'a View,
    /// Who owns what is made on the way, unless that is this process: the step's user.
    owner: Option<u32>,
    /// Those that are not mounted yet.
    left: Vec<&'a VolumeMount>,
}

/// The directory with places for the lowest layer of the step's image, if it needs one.
pub(super) fn places(view: &View) -> Option<PathBuf> {
    Some(places_to_be(view)).filter(|dir| dir.is_dir())
}

/// The same, for whoever makes it where it is not there.
pub(super) fn places_to_be(view: &View) -> PathBuf {
    view.private.join(PLACES)
}

impl<'a> Mounting<'a> {
    /// Mounts what belongs in the step's private directories.
    pub(super) fn begin(standing: Standing, view: &'a View, request: &'a StepRequest) -> Result<Self, Fault> {
        let mut mounting = Self { view, owner: standing.owner(), left: Vec::new() };
        if request.caches.is_empty() {
            return Ok(mounting);
        }
        let nothing = view.private.join(NOTHING);
        fs::create_dir(&nothing).during("prepare the step's caches")?;
        for volume in &request.caches {
            let within = |root: &&&str| volume.path.starts_with(**root);
            match PRIVATE.iter().find(within) {
                Some(root) => mounting.attempt(volume, |mounting| mounting.in_private(volume, root)),
                None => mounting.left.push(volume),
            }
        }
        if request.image.is_some() {
            for volume in &mounting.left {
                let place = places_to_be(view).join(volume.path.trim_start_matches('/'));
                DirBuilder::new().recursive(true).mode(0o755).create(place).during("prepare the caches")?;
            }
            mounting.own_all(&places_to_be(view))?;
        }
        Ok(mounting)
    }

    /// Mounts the others in the view of the machine.
    pub(super) fn in_view(&self) {
        for volume in &self.left {
            self.attempt(volume, |mounting| {
                let root = &mounting.view.root;
                let path = volume.path.trim_start_matches('/');
                if find(&open_dir(root)?, path).during(during(volume))?.is_none() {
                    mounting.cover(path, volume)?;
                }
                let place = find(&open_dir(root)?, path).during(during(volume))?;
                let place = place.ok_or_else(|| Fault::new(during(volume), libc::ENOENT))?;
                not_the_root(&place, &open_dir(root)?).during(during(volume))?;
                mounting.mount(volume, &place)
            });
        }
    }

    /// Mounts the others in the step's image, which is at its place.
    pub(super) fn in_image(&self) {
        for volume in &self.left {
            self.attempt(volume, |mounting| {
                let root = open_dir(&mounting.view.image)?;
                let place = mounting.make_linked(&root, volume.path.trim_start_matches('/'));
                let place = place.during(during(volume))?;
                not_the_root(&place, &root).during(during(volume))?;
                mounting.mount(volume, &place)
            });
        }
    }

    /// What fails is written down for whoever made the draft; a directory of the step's own has to do.
    fn attempt(&self, volume: &VolumeMount, mount: impl FnOnce(&Self) -> Result<(), Fault>) {
        if let Err(fault) = mount(self) {
            let _ = fs::write(volume.draft.join(VolumeMount::FAILED), fault.to_string());
        }
    }

    fn in_private(&self, volume: &VolumeMount, root: &str) -> Result<(), Fault> {
        let at = open_dir(&self.view.root.join(root.trim_matches('/')))?;
        let place = self.make_plain(&at, volume.path.strip_prefix(root).unwrap_or_default());
        self.mount(volume, &place.during(during(volume))?)
    }

    /// Where overlayfs does not take the layers, the step has the empty directory that was to be the uppermost.
    fn mount(&self, volume: &VolumeMount, place: &OwnedFd) -> Result<(), Fault> {
        let place = named(place);
        self.overlay(volume, &place).inspect_err(|_| {
            let bound = mounts::bind(&volume.draft.join("upper"), &place);
            let _ = bound.and_then(|()| mounts::restrict(&place, attr::NOSUID | attr::NODEV));
        })
    }

    fn overlay(&self, volume: &VolumeMount, place: &Path) -> Result<(), Fault> {
        let mut layers: Vec<File> =
            volume.layers.iter().rev().map(|layer| open_dir(layer)).collect::<Result<_, _>>()?;
        if layers.is_empty() {
            layers.push(open_dir(&self.view.private.join(NOTHING))?);
        }
        let draft = open_dir(&volume.draft)?;
        let lower: Vec<String> =
            layers.iter().map(|layer| format!("/proc/self/fd/{}", layer.as_raw_fd())).collect();
        let upper = draft.as_raw_fd();
        let options = format!(
            "lowerdir={},upperdir=/proc/self/fd/{upper}/upper,workdir=/proc/self/fd/{upper}/work,\
             userxattr,volatile,index=off",
            lower.join(":")
        );
        mounts::filesystem("overlay", place, MsFlags::MS_NOSUID | MsFlags::MS_NODEV, &options)
    }

    /// Covers the last directory on the way that exists with one that shows the same and has the rest of the way in it.
    fn cover(&self, path: &str, volume: &VolumeMount) -> Result<(), Fault> {
        let (root, stage) = (&self.view.root, &self.view.layers);
        let mut existing = path;
        let found = loop {
            existing = existing.rsplit_once('/').map_or("", |(parent, _)| parent);
            if existing.is_empty() {
                break open_dir(root)?.into();
            }
            if let Some(found) = find(&open_dir(root)?, existing).during(during(volume))? {
                break found;
            }
        };
        mounts::filesystem("tmpfs", stage, MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=0755,size=1m")?;
        let shown = show_again(&found, stage).and_then(|()| {
            let rest = path.strip_prefix(existing).unwrap_or(path).trim_start_matches('/');
            DirBuilder::new().recursive(true).mode(0o755).create(stage.join(rest)).during(during(volume))?;
            mounts::restrict(stage, attr::RDONLY | attr::NOSUID | attr::NODEV)?;
            mounts::move_to(stage, &root.join(existing))
        });
        if shown.is_err() {
            // The next one finds the stage empty.
            let _ = nix::mount::umount2(stage, nix::mount::MntFlags::MNT_DETACH);
        }
        shown
    }

    /// A directory below `at`, reached through no link; what is missing of it is made.
    fn make_plain(&self, at: &File, path: &str) -> io::Result<OwnedFd> {
        let mut here = openat2(at, ".", PLACE, Mode::empty(), PLAIN)?;
        for name in path.split('/') {
            here = match openat2(&here, name, PLACE, Mode::empty(), PLAIN | ResolveFlags::NO_XDEV) {
                Err(Errno::NOENT) => self.make_one(&here, name)?,
                found => found?,
            };
        }
        Ok(here)
    }

    /// A directory in an image, whose links are followed; what is missing of it is made.
    fn make_linked(&self, root: &File, path: &str) -> io::Result<OwnedFd> {
        let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match super::image::open(root, path, way, LINKED) {
            Err(Errno::NOENT) => {}
            found => return Ok(found?),
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = if parent.is_empty() {
            openat2(root, ".", PLACE, Mode::empty(), PLAIN)?
        } else {
            self.make_linked(root, parent)?
        };
        self.make_one(&parent, name)
    }

    fn make_one(&self, at: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
        rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o755))?;
        let made = openat2(at, name, PLACE, Mode::empty(), PLAIN)?;
        if let Some(owner) = self.owner {
            let flags = rustix::fs::AtFlags::EMPTY_PATH;
            rustix::fs::chownat(&made, "", Some(Uid::from_raw(owner)), Some(Gid::from_raw(owner)), flags)?;
        }
        Ok(made)
    }

    /// Gives a directory that this process has made, and all in it, to the step's user.
    fn own_all(&self, dir: &Path) -> Result<(), Fault> {
        if self.owner.is_none() || !dir.is_dir() {
            return Ok(());
        }
        let mut pending = vec![dir.to_owned()];
        while let Some(dir) = pending.pop() {
            chown(&dir, self.owner, self.owner).during("give the caches their owner")?;
            for entry in fs::read_dir(&dir).during("give the caches their owner")? {
                pending.push(entry.during("give the caches their owner")?.path());
            }
        }
        Ok(())
    }
}

/// A directory that is there, reached through no link. None where there is nothing.
fn find(root: &File, path: &str) -> io::Result<Option<OwnedFd>> {
    match openat2(root, path, PLACE, Mode::empty(), PLAIN) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// In place of the root, a volume would be what this process itself takes for `/proc`.
fn not_the_root(place: &OwnedFd, root: &File) -> io::Result<()> {
    let (place, root) = (rustix::fs::fstat(place)?, rustix::fs::fstat(root)?);
    if (place.st_dev, place.st_ino) == (root.st_dev, root.st_ino) {
        return Err(Errno::BUSY.into());
    }
    Ok(())
}

/// Shows in `stage` all that is in a directory of the view, mounts below it included.
fn show_again(dir: &OwnedFd, stage: &Path) -> Result<(), Fault> {
    let action = "show a directory of the machine beside a cache";
    let listed = named(dir);
    for (number, entry) in fs::read_dir(&listed).during(action)?.enumerate() {
        if number == MOST_NAMES {
            return Err(Fault::new(format!("{action}: it has more than {MOST_NAMES} names"), libc::E2BIG));
        }
        let name = entry.during(action)?.file_name();
        let (from, to) = (listed.join(&name), stage.join(&name));
        let stat = rustix::fs::statat(dir, name.as_bytes(), rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
        match FileType::from_raw_mode(stat.map_err(io::Error::from).during(action)?.st_mode) {
            FileType::Symlink => symlink(fs::read_link(&from).during(action)?, &to).during(action)?,
            FileType::Directory => {
                fs::create_dir(&to).during(action)?;
                mounts::bind(&from, &to)?;
            }
            _ => {
                File::create(&to).during(action)?;
                mounts::bind(&from, &to)?;
            }
        }
    }
    Ok(())
}

fn during(volume: &VolumeMount) -> String {
    format!("make a place for the cache at {}", volume.path)
}

/// A path to what a descriptor is of, short and blind to links on the way.
fn named(place: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", place.as_fd().as_raw_fd()))
}
