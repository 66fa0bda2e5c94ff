//! A process without a network, but for its own loopback interface.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

use super::loopback_up;

/// Leaves the network of the machine for an empty one, with all that is started from now on. Who may not make a network gets a
/// user namespace to do it in, and is who they were there. Only for processes without threads.
///
/// # Errors
/// The machine allows neither.
pub fn cut_off() -> io::Result<()> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => {}
        Err(nix::Error::EPERM) => {
            let (user, group) = (geteuid(), getegid());
            unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
            fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
            // Nobody may map a group who could still drop one.
            fs::write("/proc/self/setgroups", "deny")?;
            fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
        }
        Err(errno) => return Err(errno.into()),
    }
    loopback_up()
}
