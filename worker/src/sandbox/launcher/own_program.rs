//! The launcher's own program, where no step can change it.
//!
//! A step can start the program that its first process runs: `/proc/self/exe` leads there, whatever the step's root is, and
//! the process that comes of it belongs to the step, so that the same link leads back to the machine's file. An ordinary
//! user owns that file, and the step is that user to the kernel. So the launcher runs from a mount of the file by itself,
//! which is read-only, or from a sealed copy in memory where there cannot be one.

use std::convert::Infallible;
use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::fcntl::{AtFlags, FcntlArg, SealFlag, fcntl};
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, execveat};

use super::super::fault::{During, Fault};
use super::mounts::c_path;
use super::sys::{self, Cloned, attr};

const OWN: &str = "/proc/self/exe";

/// The last argument of a launcher that has started itself from there.
const APART: &str = "__apart";

/// Starts this program once more from where no step can change it, and returns in that; or says why that failed.
pub(super) fn set_apart() -> Result<(), Fault> {
    if std::env::args_os().next_back().is_some_and(|last| last == APART) {
        return Ok(());
    }
    let program = match read_only() {
        Ok(mount) => mount,
        Err(_) => in_memory().during("copy the launcher's program")?,
    };
    start(&program).map(|never| match never {}).during("start the launcher's program again")
}

fn start(program: &OwnedFd) -> Result<Infallible, io::Error> {
    let c_string = |text: &OsStr| CString::new(text.as_bytes()).map_err(io::Error::from);
    let mut arguments = std::env::args_os().map(|text| c_string(&text)).collect::<io::Result<Vec<_>>>()?;
    arguments.push(c_string(OsStr::new(APART))?);
    let none: [CString; 0] = [];
    Ok(execveat(program.as_fd(), c"", &arguments, &none, AtFlags::AT_EMPTY_PATH)?)
}

/// A mount of the program's file by itself, made by a process that may mount and that ends with that.
fn read_only() -> Result<OwnedFd, Fault> {
    let program = fs::read_link(OWN).during("find the launcher's program")?;
    match sys::clone_sharing_files().during("create a process")? {
        Cloned::Child => sys::exit_now(mount(&program).map_or(0, std::os::fd::IntoRawFd::into_raw_fd)),
        Cloned::Parent(_, pid) => match waitpid(Pid::from_raw(pid), None).during("wait for a mount")? {
            // SAFETY: the child has opened it in the table that is common to both, and is gone.
            WaitStatus::Exited(_, number) if number > 2 => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
            _ => Err(Fault::new("mount the launcher's program", libc::EPERM)),
        },
    }
}

fn mount(program: &Path) -> Result<OwnedFd, Fault> {
    if unshare(CloneFlags::CLONE_NEWNS).is_err() {
        let both = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS;
        unshare(both).during("create a user namespace")?;
    }
    let mount = sys::clone_mount(&c_path(program)?).during("mount the launcher's program")?;
    sys::restrict_mount(mount.as_fd(), attr::RDONLY | attr::NOSUID | attr::NODEV)
        .during("make the launcher's program read-only")?;
    // Another one may have been put in its place meanwhile.
    let (running, found) =
        (fs::metadata(OWN), File::from(mount.try_clone().during("look at it")?).metadata());
    let (running, found) = (running.during("look at it")?, found.during("look at it")?);
    match (running.dev(), running.ino()) == (found.dev(), found.ino()) {
        true => Ok(mount),
        false => Err(Fault::new("find the launcher's program", libc::ESTALE)),
    }
}

/// A copy in memory that nobody can change.
fn in_memory() -> io::Result<OwnedFd> {
    let copy = memfd_create(c"cullet", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut copy = File::from(copy);
    io::copy(&mut File::open(OWN)?, &mut copy)?;
    let seals =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(&copy, FcntlArg::F_ADD_SEALS(seals))?;
    rustix::fs::fchmod(&copy, rustix::fs::Mode::from_raw_mode(0o555))?;
    Ok(copy.into())
}
