//! Mounting, with errors that say what was mounted.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::super::fault::{During, Fault};
use super::sys;

const NONE: Option<&str> = None;

/// Mounts a new filesystem of this type.
pub(crate) fn filesystem(kind: &str, target: &Path, flags: MsFlags, options: &str) -> Result<(), Fault> {
    mount(Some(kind), target, Some(kind), flags, Some(options))
        .during(format!("mount {kind} at {}", target.display()))
}

/// Shows `source` at `target` too, with everything mounted below it.
pub(crate) fn bind(source: &Path, target: &Path) -> Result<(), Fault> {
    mount(Some(source), target, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE).during(format!(
        "bind {} to {}",
        source.display(),
        target.display()
    ))
}

/// Moves what is mounted at `source`, with everything mounted below it.
pub(crate) fn move_to(source: &Path, target: &Path) -> Result<(), Fault> {
    mount(Some(source), target, NONE, MsFlags::MS_MOVE, NONE).during(format!(
        "move {} to {}",
        source.display(),
        target.display()
    ))
}

/// No mount or unmount from here on reaches the machine, nor the other way round.
pub(crate) fn detach_from_the_machine() -> Result<(), Fault> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).during("make the mounts private")
}

/// Sets attributes on one mount.
pub(crate) fn restrict(target: &Path, attributes: u64) -> Result<(), Fault> {
    set_attributes(target, false, attributes)
}

/// Sets attributes on a mount and everything below it.
pub(crate) fn restrict_all(target: &Path, attributes: u64) -> Result<(), Fault> {
    set_attributes(target, true, attributes)
}

fn set_attributes(target: &Path, recursive: bool, attributes: u64) -> Result<(), Fault> {
    let action = || format!("restrict the mount at {}", target.display());
    sys::mount_setattr(&c_path(target)?, recursive, attributes).during(action())
}

/// A path as the kernel takes it.
pub(crate) fn c_path(path: &Path) -> Result<CString, Fault> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Fault::new("pass a path with a NUL byte", libc::EINVAL))
}
