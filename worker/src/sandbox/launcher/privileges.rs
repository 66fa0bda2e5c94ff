//! Giving up everything a step must not have.

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{getegid, geteuid};

use super::super::config::INSIDE_UID;
use super::super::fault::{During, Fault};
use super::footing::{self, Standing};
use super::proc::Proc;
use super::sys;

/// Open files of a step: what systemd gives a service as its hard limit's usual floor for large builds.
const MAX_OPEN_FILES: u64 = 65_536;

/// A set without any capability.
pub(super) const NONE: u64 = 0;

/// Those that a step in an image keeps as its root: of Docker's, what has a use in a user namespace that owns nothing
/// else. They are for files that belong to the image's users, and for becoming those users.
pub(super) const OF_ROOT: u64 = 1 << CAP_CHOWN
    | 1 << CAP_DAC_OVERRIDE
    | 1 << CAP_FOWNER
    | 1 << CAP_FSETID
    | 1 << CAP_KILL
    | 1 << CAP_SETGID
    | 1 << CAP_SETUID
    | 1 << CAP_SETPCAP
    | 1 << CAP_SYS_CHROOT
    | 1 << CAP_SETFCAP;

// Numbers of Linux, `include/uapi/linux/capability.h`.
const CAP_CHOWN: u32 = 0;
const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_FOWNER: u32 = 3;
const CAP_FSETID: u32 = 4;
const CAP_KILL: u32 = 5;
const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
const CAP_SETPCAP: u32 = 8;
const CAP_SYS_CHROOT: u32 = 18;
const CAP_SETFCAP: u32 = 31;

/// Turns this process into the sandbox user, in a user namespace that owns nothing but itself: not the mounts,
/// not the network, not the process ids of the step, and so with power over none of them.
pub(super) fn become_nobody(standing: Standing, proc: &Proc) -> Result<(), Fault> {
    if standing == Standing::Root {
        footing::become_user(standing.step_uid())?;
    }
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER).during("create the step's user namespace")?;
    footing::map_ids(proc, (INSIDE_UID, uid), (INSIDE_UID, gid))
}

/// In the step's user namespace: gives up all that it has there but for the capabilities `kept`, for good.
pub(super) fn drop_all(most_processes: u64, proc: &Proc, kept: u64) -> Result<(), Fault> {
    // A further namespace would hand the step capabilities again, and with them more of the kernel. The filter forbids it
    // as well, and alone in containers that leave settings read-only, where they may be another mount.
    match proc.write("sys/user/max_user_namespaces", "0") {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EROFS | libc::EXDEV)) => {}
        written => written.during("forbid further user namespaces")?,
    }
    limit(most_processes)?;
    drop_capabilities(kept)?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).during("set no_new_privs")?;
    // The step shares this user: without this it could trace its first process.
    sys::prctl(libc::PR_SET_DUMPABLE, 0, 0).during("hide the first process")
}

/// The process limit counts within the user namespace just made, so it is the step's alone.
fn limit(most_processes: u64) -> Result<(), Fault> {
    // Not 0: that does not keep the kernel from handing a dump to a program of the machine.
    limit_to(Resource::RLIMIT_CORE, 1)?;
    limit_to(Resource::RLIMIT_NOFILE, MAX_OPEN_FILES)?;
    limit_processes(most_processes)
}

/// A limit of processes, which a user namespace made from here on is under as a whole.
pub(super) fn limit_processes(most: u64) -> Result<(), Fault> {
    limit_to(Resource::RLIMIT_NPROC, most)
}

/// The largest file that may be written, in bytes; 0 for any.
pub(super) fn limit_files(most_bytes: u64) -> Result<(), Fault> {
    if most_bytes == 0 { Ok(()) } else { limit_to(Resource::RLIMIT_FSIZE, most_bytes) }
}

fn limit_to(resource: Resource, most: u64) -> Result<(), Fault> {
    let hard = getrlimit(resource).during("read a limit")?.1;
    let most = most.min(hard);
    setrlimit(resource, most, most).during("set a limit")
}

fn drop_capabilities(kept: u64) -> Result<(), Fault> {
    // The kernel refuses the first number it has no capability for.
    for capability in (0..64).filter(|number| kept & (1 << number) == 0) {
        match sys::prctl(libc::PR_CAPBSET_DROP, capability, 0) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            other => other.during("shrink the capability bounding set")?,
        }
    }
    sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0)
        .during("clear the ambient capabilities")?;
    sys::keep_capabilities(kept).during("drop the capabilities")
}
