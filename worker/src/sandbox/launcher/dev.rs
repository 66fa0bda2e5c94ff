//! The devices that steps see.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::mount::MsFlags;

use super::super::fault::{During, Fault};
use super::mounts;
use super::sys::attr;
use super::view::make_dirs;

/// Devices that hold nothing of the machine.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// Fills `dev`: devices are bound from the machine, because a user namespace cannot make any.
pub(super) fn build(dev: &Path) -> Result<(), Fault> {
    mounts::filesystem("tmpfs", dev, MsFlags::MS_NOSUID, "mode=0755,size=4k")?;
    for name in DEVICES {
        let (outside, inside) = (Path::new("/dev").join(name), dev.join(name));
        if fs::symlink_metadata(&outside).is_err() {
            continue;
        }
        File::create(&inside).during(format!("create {}", inside.display()))?;
        mounts::bind(&outside, &inside)?;
    }
    for (name, target) in LINKS {
        symlink(target, dev.join(name)).during(format!("link /dev/{name}"))?;
    }
    make_dirs(&dev.join("pts"))?;
    make_dirs(&dev.join("shm"))?;
    mounts::restrict_all(dev, attr::NOSUID | attr::NOEXEC)?;
    mounts::restrict(dev, attr::RDONLY)
}
