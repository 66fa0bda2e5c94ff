//! The root directory that steps see, built once by the launcher; each step gets a copy of its mounts.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use crate::host::seen;

use super::super::config::ViewConfig;
use super::super::fault::{During, Fault};
use super::footing::Standing;
use super::mounts;
use super::sys::attr;
use super::{dev, etc, image};

/// Where the launcher builds, in its own mount namespace. The machine's sysfs is of no use to it, so it is
/// covered; every Linux has the directory.
const STAGE: &str = "/sys";

/// Directories that a step expects and that have nothing of the machine in them.
const EMPTY: [&str; 14] = [
    "proc",
    "sys",
    "dev",
    "run",
    "home",
    "root",
    "tmp",
    "var/tmp",
    "var/lib",
    "mnt",
    "opt",
    "media",
    "srv",
    "workspace",
];

/// The finished view.
#[derive(Debug)]
pub(super) struct View {
    /// Where all of this is.
    pub(super) stage: PathBuf,
    /// Its root, as the launcher sees it.
    pub(super) root: PathBuf,
    /// Where a step's private tmpfs is mounted before its parts are bound into the view.
    pub(super) private: PathBuf,
    /// Where the root of a step in an image is mounted.
    pub(super) image: PathBuf,
    /// Where layers of images are mounted, one over the other. Empty.
    pub(super) layers: PathBuf,
    /// What images get below their own layers: places to mount at. By the owner that their root has outside.
    pub(super) skeletons: Vec<(Option<u32>, PathBuf)>,
    /// Files to bind over others when a step sees the network: (the machine's, the view's).
    pub(super) network_files: Vec<(PathBuf, PathBuf)>,
}

/// Builds the view.
pub(super) fn build(config: &ViewConfig, standing: Standing) -> Result<View, Fault> {
    let stage = Path::new(STAGE);
    mounts::filesystem("tmpfs", stage, MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=0755,size=4m")?;
    let root = stage.join("view");
    let private = stage.join("private");
    let (image, layers) = (stage.join("image"), stage.join("layers"));
    for dir in [&root, &private, &image, &layers] {
        make_dirs(dir)?;
    }
    mounts::filesystem("tmpfs", &root, MsFlags::empty(), "mode=0755,size=16m")?;
    for name in EMPTY {
        make_dirs(&root.join(name))?;
    }
    for name in seen::SYSTEM.iter().chain(&seen::VAR) {
        show_entry(Path::new("/"), &root, name)?;
    }
    let network_files = etc::build(&root)?;
    link(&root.join("var/run"), "/run")?;
    link(&root.join("var/lock"), "/run/lock")?;
    show_tools(&root, config)?;
    hide(&root, config)?;
    mounts::restrict_all(&root, attr::RDONLY | attr::NOSUID | attr::NODEV)?;
    dev::build(&root.join("dev"))?;
    let skeletons = image::skeletons(stage, standing)?;
    let stage = stage.to_owned();
    Ok(View { stage, root, private, image, layers, skeletons, network_files })
}

/// Makes a directory and its parents, readable by all whatever the umask.
pub(super) fn make_dirs(path: &Path) -> Result<(), Fault> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .during(format!("create {}", path.display()))
}

fn link(at: &Path, target: impl AsRef<Path>) -> Result<(), Fault> {
    match symlink(target, at) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.during(format!("create {}", at.display())),
    }
}

/// Shows one entry of the machine's directory `outside`: links as links, directories as they are, nothing else.
pub(super) fn show_entry(outside: &Path, inside: &Path, name: &str) -> Result<(), Fault> {
    let (outside, inside) = (outside.join(name), inside.join(name));
    match fs::symlink_metadata(&outside) {
        Ok(found) if found.is_symlink() => {
            let target = fs::read_link(&outside).during(format!("read {}", outside.display()))?;
            link(&inside, target)
        }
        Ok(found) if found.is_dir() => show_dir(&outside, &inside),
        _ => Ok(()),
    }
}

fn show_dir(outside: &Path, inside: &Path) -> Result<(), Fault> {
    make_dirs(inside)?;
    mounts::bind(outside, inside)
}

/// Where `path` of the machine lies in the view.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

fn show_tools(root: &Path, config: &ViewConfig) -> Result<(), Fault> {
    let mut wanted: Vec<&PathBuf> = config.tools.binds.iter().chain(&config.extra).collect();
    wanted.sort();
    let mut shown: Vec<&Path> = Vec::new();
    for path in wanted {
        let nested = shown.iter().any(|parent| path.starts_with(parent));
        if nested || seen::is_system(path) || !path.is_absolute() || !path.is_dir() {
            continue;
        }
        show_dir(path, &inside(root, path))?;
        shown.push(path);
    }
    Ok(())
}

/// Covers what must stay invisible although it lies below something visible.
fn hide(root: &Path, config: &ViewConfig) -> Result<(), Fault> {
    for path in &config.hidden {
        let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let covered = inside(root, &resolved);
        if resolved.is_absolute() && covered != *root && covered.is_dir() {
            mounts::filesystem("tmpfs", &covered, MsFlags::empty(), "mode=0755,size=4k")?;
        }
    }
    Ok(())
}
