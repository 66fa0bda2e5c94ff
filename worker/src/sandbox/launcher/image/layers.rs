//! The layers of an image as one directory.

use std::fmt::Write as _;
use std::fs::{DirBuilder, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use nix::unistd::chdir;

use super::super::super::fault::{During, Fault};
use super::super::caches;
use super::super::footing::Standing;
use super::super::mounts;
use super::super::step_root::open_dir;
use super::super::sys::{self, attr};
use super::super::view::View;
use super::Namespace;
use crate::Owners;

/// As many lower directories as overlayfs takes (`OVL_MAX_STACK`).
const MOST_LAYERS: usize = 500;

/// Attributes of layers and of what is made of them.
const RESTRICTED: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV);

/// Refuses what would fail with less of a reason.
pub(super) fn check(layers: &[PathBuf]) -> Result<(), Fault> {
    let count = layers.len();
    if count > MOST_LAYERS {
        return Err(Fault::new(format!("mount {count} layers, more than {MOST_LAYERS}"), libc::E2BIG));
    }
    Ok(())
}

/// Mounts the layers, the lowest first, under what the step writes, at `view.image`. With a namespace, as real root:
/// with the image's owners as those of the namespace.
pub(super) fn mount(
    view: &View,
    layers: &[PathBuf],
    scratch: &Path,
    owners: &Owners,
    namespace: Option<&Namespace>,
) -> Result<(), Fault> {
    let (uid, gid) = owners.root();
    let skeleton = view.skeletons.iter().find(|(owner, _)| *owner == uid).map(|(_, path)| path);
    let skeleton = skeleton.filter(|_| layers.len() < MOST_LAYERS);
    let mut shown = Vec::with_capacity(layers.len() + 1);
    if let Some(path) = skeleton {
        shown.push(open_dir(path)?.into());
    }
    if let Some(places) = caches::places(view).filter(|_| layers.len() + shown.len() < MOST_LAYERS) {
        shown.push(open_dir(&places)?.into());
    }
    for layer in layers {
        shown.push(match namespace {
            Some(namespace) => with_owners(layer, view, namespace)?,
            None => open_dir(layer)?.into(),
        });
    }
    make_upper(&scratch.join("root"), (uid, gid))?;
    let root = open_dir(&scratch.join("root"))?;
    let number = root.as_raw_fd();
    let upper = format!("upperdir={number}/upper,workdir={number}/work,volatile");
    // What a hostile layer or a setting of the kernel could say about redirections is not followed; `userxattr` says so
    // by itself.
    let form = if namespace.is_some() { "redirect_dir=nofollow,metacopy=off,index=off" } else { "userxattr" };
    overlay(view, shown, &format!("{upper},{form}"))
}

/// Makes the overlay's two directories; the upper one is the image's root directory to those who look at it.
fn make_upper(root: &Path, (uid, gid): (Option<u32>, Option<u32>)) -> Result<(), Fault> {
    for dir in [root, &root.join("upper"), &root.join("work")] {
        DirBuilder::new().mode(0o755).create(dir).during("prepare the scratch directory")?;
    }
    if uid.is_some() {
        chown(root.join("upper"), uid, gid).during("give the image's root its owner")?;
    }
    Ok(())
}

/// The layers as they are, for a look before the step's namespace exists.
pub(super) fn peek(view: &View, layers: &[PathBuf], standing: Standing) -> Result<File, Fault> {
    match layers {
        [] => open_dir(&view.layers),
        // Overlayfs does not take one lower directory and nothing else.
        [only] => open_dir(only),
        _ => {
            let shown: Result<Vec<OwnedFd>, Fault> =
                layers.iter().map(|layer| open_dir(layer).map(OwnedFd::from)).collect();
            let form =
                if standing == Standing::Root { "redirect_dir=nofollow,metacopy=off" } else { "userxattr" };
            overlay(view, shown?, form)?;
            open_dir(&view.image)
        }
    }
}

/// A layer with the owners that it has in the namespace. It lies over the others at `view.layers`: overlayfs takes only
/// what is mounted somewhere, and finds each by its descriptor.
fn with_owners(layer: &Path, view: &View, namespace: &Namespace) -> Result<OwnedFd, Fault> {
    let path = mounts::c_path(layer)?;
    let mount = sys::clone_mount(&path).during(format!("open the layer {}", layer.display()))?;
    let attributes = attr::RDONLY | attr::NOSUID | attr::NODEV;
    sys::map_owners(mount.as_fd(), namespace.as_fd(), attributes).during(format!(
        "map the owners of files in {} (an idmapped mount, which not every filesystem can be)",
        layer.display()
    ))?;
    sys::attach_mount(mount.as_fd(), &mounts::c_path(&view.layers)?).during("mount a layer")?;
    Ok(mount)
}

/// Mounts an overlay at `view.image`. Directories go by the numbers of their descriptors alone, so that five hundred of
/// them fit into the page that mount(2) takes.
fn overlay(view: &View, lowest_first: Vec<OwnedFd>, options: &str) -> Result<(), Fault> {
    let mut layers = lowest_first;
    if layers.is_empty() {
        layers.push(open_dir(&view.layers)?.into());
    }
    let mut lower = String::new();
    for layer in layers.iter().rev() {
        let colon = if lower.is_empty() { "" } else { ":" };
        let _ = write!(lower, "{colon}{}", layer.as_raw_fd());
    }
    chdir("/proc/self/fd").during("name the layers of the image")?;
    mounts::filesystem("overlay", &view.image, RESTRICTED, &format!("lowerdir={lower},{options}"))
}
