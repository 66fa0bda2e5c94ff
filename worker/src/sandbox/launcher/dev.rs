//! The devices that steps see.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::mount::MsFlags;
use rustix::fs::{FileType, Mode, OFlags, major, minor};
use rustix::io::Errno;

use super::super::fault::{During, Fault};
use super::mounts;
use super::sys::attr;
use super::view::make_dirs;

/// Devices that hold nothing of the machine, with their numbers (`Documentation/admin-guide/devices.txt` of Linux).
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

/// The device, if there is anything of that name. Something else in its place, as in an image that brings a `/dev` of its
/// own, must not become what every step reads and writes.
fn open_device(path: &Path, number: (u32, u32)) -> Result<Option<OwnedFd>, Fault> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let device = match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        opened => opened.map_err(io::Error::from).during(format!("open {}", path.display()))?,
    };
    let found = rustix::fs::fstat(&device).map_err(io::Error::from).during("look at a device")?;
    let is_device = FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice;
    if !is_device || (major(found.st_rdev), minor(found.st_rdev)) != number {
        return Err(Fault::new(
            format!("show {}: it is another device or none", path.display()),
            libc::ENODEV,
        ));
    }
    Ok(Some(device))
}

/// Fills `dev`: devices are bound from the machine, because a user namespace cannot make any.
pub(super) fn build(dev: &Path) -> Result<(), Fault> {
    mounts::filesystem("tmpfs", dev, MsFlags::MS_NOSUID, "mode=0755,size=4k")?;
    for (name, major, minor) in DEVICES {
        let (outside, inside) = (Path::new("/dev").join(name), dev.join(name));
        let Some(device) = open_device(&outside, (major, minor))? else { continue };
        File::create(&inside).during(format!("create {}", inside.display()))?;
        mounts::bind(Path::new(&format!("/proc/self/fd/{}", device.as_raw_fd())), &inside)?;
    }
    for (name, target) in LINKS {
        symlink(target, dev.join(name)).during(format!("link /dev/{name}"))?;
    }
    make_dirs(&dev.join("pts"))?;
    make_dirs(&dev.join("shm"))?;
    // Read-only, a device can be written to, and neither replaced nor given other rights.
    mounts::restrict_all(dev, attr::RDONLY | attr::NOSUID | attr::NOEXEC)
}
