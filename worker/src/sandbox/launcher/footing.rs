//! Getting to where mounts can be made: as root in the machine's own user namespace, as anybody else in a new one.

use std::fs;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, geteuid, setgroups, setresgid, setresuid};

use super::super::config::{INSIDE_UID, SANDBOX_UID};
use super::super::fault::{During, Fault};
use super::super::owner::sandbox_owner;
use super::super::sub_ids::SubIds;
use super::proc::Proc;
use super::{mounts, sys};

/// Who the launcher is after [`enter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Real root: each step's first process becomes the sandbox user once its mounts stand.
    Root,
    /// The owner of a user namespace, in which it has the step's user id.
    Namespace {
        /// The user it became on the way, when it was root without the right to mount.
        became: Option<u32>,
        /// Whether further users and groups are there, from [`IMAGE_BLOCK`] on.
        ranged: bool,
    },
}

impl Standing {
    /// Who must own what a step may write, when that is not the caller.
    pub(super) fn owner(self) -> Option<u32> {
        match self {
            Self::Root => Some(SANDBOX_UID),
            Self::Namespace { became, .. } => became,
        }
    }

    /// Whether it is an ordinary user with further users and groups.
    pub(super) fn has_range(self) -> bool {
        matches!(self, Self::Namespace { ranged: true, .. })
    }

    /// The step's user id as the launcher sees it.
    pub(super) fn step_uid(self) -> u32 {
        match self {
            Self::Root => SANDBOX_UID,
            Self::Namespace { .. } => INSIDE_UID,
        }
    }
}

/// Gives the launcher a mount namespace of its own in which it may mount.
pub(super) fn enter(sub_ids: Option<&SubIds>) -> Result<Standing, Fault> {
    let standing = if geteuid().is_root() {
        as_root()?
    } else {
        Standing::Namespace { became: None, ranged: as_user(sub_ids)? }
    };
    mounts::detach_from_the_machine()?;
    Ok(standing)
}

fn as_root() -> Result<Standing, Fault> {
    if sandbox_owner().is_none() {
        // Root of somebody's user namespace, as in a rootless container: there is nobody else to become.
        new_namespace()?;
        return Ok(Standing::Namespace { became: None, ranged: false });
    }
    match unshare(CloneFlags::CLONE_NEWNS) {
        Ok(()) => Ok(Standing::Root),
        // Root in a container without CAP_SYS_ADMIN: what anybody can do may still be allowed.
        Err(nix::Error::EPERM) => {
            become_user(SANDBOX_UID)?;
            new_namespace()?;
            Ok(Standing::Namespace { became: Some(SANDBOX_UID), ranged: false })
        }
        Err(errno) => Err(errno).during("create a mount namespace"),
    }
}

/// With further users and groups where that works; otherwise with the step's alone. Which of both is the answer.
fn as_user(sub_ids: Option<&SubIds>) -> Result<bool, Fault> {
    let Some(sub_ids) = sub_ids else { return new_namespace().map(|()| false) };
    let (uid, gid) = (geteuid().as_raw(), nix::unistd::getegid().as_raw());
    if sub_ids.enter(CloneFlags::CLONE_NEWNS)?.is_ok() {
        // The caller's further groups are nothing that a step should have.
        return setgroups(&[]).during("drop the supplementary groups").map(|()| true);
    }
    let proc = Proc::current()?;
    let is_missing = |map: &str| fs::read_to_string(map).during("read an id map").map(|map| map.is_empty());
    if is_missing("/proc/self/gid_map")? {
        map_group(&proc, (INSIDE_UID, gid))?;
    }
    if is_missing("/proc/self/uid_map")? {
        map_user(&proc, (INSIDE_UID, uid))?;
    }
    Ok(false)
}

/// A user namespace in which this process is the step's user, and a mount namespace that belongs to it.
pub(super) fn new_namespace() -> Result<(), Fault> {
    let (uid, gid) = (geteuid().as_raw(), nix::unistd::getegid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).during("create a user namespace")?;
    map_ids(&Proc::current()?, (INSIDE_UID, uid), (INSIDE_UID, gid))
}

/// Gives up every other user and group for `uid`.
pub(super) fn become_user(uid: u32) -> Result<(), Fault> {
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    setgroups(&[]).during("drop the supplementary groups")?;
    setresgid(group, group, group).during(format!("become group {uid}"))?;
    setresuid(user, user, user).during(format!("become user {uid}"))?;
    // A change of user makes /proc/self belong to root, and the id maps are written there.
    sys::prctl(libc::PR_SET_DUMPABLE, 1, 0).during("own /proc/self")
}

/// In a new user namespace: makes one id of a user and of a group inside of those outside, (inside, outside).
pub(super) fn map_ids(proc: &Proc, user: (u32, u32), group: (u32, u32)) -> Result<(), Fault> {
    map_user(proc, user)?;
    map_group(proc, group)
}

fn map_user(proc: &Proc, (inside, outside): (u32, u32)) -> Result<(), Fault> {
    proc.write("self/uid_map", &format!("{inside} {outside} 1")).during("map the user")
}

fn map_group(proc: &Proc, (inside, outside): (u32, u32)) -> Result<(), Fault> {
    proc.write("self/setgroups", "deny").during("deny setgroups")?;
    proc.write("self/gid_map", &format!("{inside} {outside} 1")).during("map the group")
}
