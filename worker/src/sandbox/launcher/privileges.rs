//! Giving up everything a step must not have.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{getegid, geteuid};

use super::super::fault::{During, Fault};
use super::footing::{self, Standing};
use super::sys;

/// Open files of a step: what systemd gives a service as its hard limit's usual floor for large builds.
const MAX_OPEN_FILES: u64 = 65_536;

/// Turns this process into the sandbox user, in a user namespace that owns nothing but itself: not the mounts,
/// not the network, not the process ids of the step, and so with power over none of them.
///
/// `proc` is a /proc in which this process may write. Whether further namespaces are forbidden by that: containers that mask
/// parts of it leave its settings read-only, and a filter has to do it.
pub(super) fn drop_all(standing: Standing, most_processes: u64, proc: &Path) -> Result<bool, Fault> {
    if standing == Standing::Root {
        footing::become_user(standing.step_uid())?;
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER).during("create the step's user namespace")?;
    footing::map_ids(proc, uid, gid)?;
    // A further namespace would hand the step capabilities again, and with them more of the kernel.
    let forbidden = match fs::write(proc.join("sys/user/max_user_namespaces"), "0") {
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => false,
        written => written.during("forbid further user namespaces").map(|()| true)?,
    };
    limit(most_processes)?;
    drop_capabilities()?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).during("set no_new_privs")?;
    // The step shares this user: without this it could trace its first process.
    sys::prctl(libc::PR_SET_DUMPABLE, 0, 0).during("hide the first process")?;
    Ok(forbidden)
}

/// The process limit counts within the user namespace just made, so it is the step's alone.
fn limit(most_processes: u64) -> Result<(), Fault> {
    let open_files = nix::sys::resource::getrlimit(Resource::RLIMIT_NOFILE)
        .during("read the limit of open files")?
        .1
        .min(MAX_OPEN_FILES);
    let limits = [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NOFILE, open_files),
        (Resource::RLIMIT_NPROC, most_processes),
    ];
    for (resource, most) in limits {
        let hard = nix::sys::resource::getrlimit(resource).during("read a limit")?.1;
        let most = most.min(hard);
        setrlimit(resource, most, most).during("set a limit")?;
    }
    Ok(())
}

fn drop_capabilities() -> Result<(), Fault> {
    // The kernel refuses the first number it has no capability for.
    for capability in 0..64 {
        match sys::prctl(libc::PR_CAPBSET_DROP, capability, 0) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            other => other.during("shrink the capability bounding set")?,
        }
    }
    sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0)
        .during("clear the ambient capabilities")?;
    sys::clear_capabilities().during("drop the capabilities")
}
