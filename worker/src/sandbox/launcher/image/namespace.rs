//! User namespaces with all users of an image, which only real root can make.
//!
//! There are two, one in the other, with the same ids. The outer one maps the owners of the layers, and the step runs in
//! the inner one. The kernel counts processes per user and namespace; what a limit of the inner namespace counts in the
//! outer one is all of them together, whichever of the image's users they run as.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::fs::{Mode, OFlags};

use super::super::super::fault::{During, Fault};
use super::super::super::frame::{recv_packet, send_packet};
use super::super::privileges;
use super::super::step_root::open_dir;
use super::super::sys::{self, Cloned};
use super::user::Account;
use crate::Owners;
use crate::image_root::same_map;

/// The outer namespace, and a process in it that can give the inner one its ids.
pub(super) struct Namespace {
    outer: File,
    helper: OwnedFd,
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.outer.as_fd()
    }
}

impl Namespace {
    /// Makes the outer namespace. This process does not enter it yet.
    pub(super) fn new(owners: &Owners) -> Result<Self, Fault> {
        // The helper finds the step's first process by it, whatever is mounted at /proc then.
        let myself = open_dir("/proc/self".as_ref())?;
        let (helper, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .during("create a socket")?;
        match sys::clone_process(libc::CLONE_NEWUSER).during("create the namespace of the image's users")? {
            Cloned::Child => {
                drop(helper);
                help(theirs.as_fd(), &myself, owners)
            }
            Cloned::Parent(pidfd, _) => {
                drop(theirs);
                let process = process(&pidfd)?;
                fs::write(process.join("uid_map"), owners.map(owners.uid)).during("map the image's users")?;
                fs::write(process.join("gid_map"), owners.map(owners.gid))
                    .during("map the image's groups")?;
                let outer =
                    File::open(process.join("ns/user")).during("open the namespace of the image's users")?;
                Ok(Self { outer, helper })
            }
        }
    }

    /// Makes this process the account, in the inner namespace.
    pub(super) fn enter(self, account: &Account, most_processes: u64) -> Result<(), Fault> {
        setns(&self.outer, CloneFlags::CLONE_NEWUSER).during("enter the namespace of the image's users")?;
        let groups: Vec<Gid> = account.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
        let (user, group) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
        setgroups(&groups).during("take the user's groups")?;
        setresgid(group, group, group).during(format!("become group {group} of the image"))?;
        setresuid(user, user, user).during(format!("become user {user} of the image"))?;
        privileges::limit_processes(most_processes)?;
        unshare(CloneFlags::CLONE_NEWUSER).during("create the step's user namespace")?;
        send_packet(self.helper.as_fd(), &true, &[]).during("ask for the step's ids")?;
        match recv_packet::<Result<(), Fault>>(self.helper.as_fd()).during("hear of the step's ids")? {
            Some((mapped, _)) => mapped,
            None => Err(Fault::new("map the step's ids: that process was killed", libc::EPIPE)),
        }
    }
}

/// Where the machine's /proc has a process that this one only knows by the number in its own pid namespace.
fn process(pidfd: &OwnedFd) -> Result<PathBuf, Fault> {
    let about = format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd());
    let about = fs::read_to_string(about).during("find a process of the step")?;
    let number = about.lines().find_map(|line| line.strip_prefix("Pid:")).map(str::trim);
    match number {
        Some(number) => Ok(PathBuf::from("/proc").join(number)),
        None => Err(Fault::new("find a process of the step", libc::ESRCH)),
    }
}

/// All that the process in the outer namespace does: nobody in the inner one may map more ids there than their own.
fn help(socket: BorrowedFd<'_>, first: &File, owners: &Owners) -> ! {
    if matches!(recv_packet::<bool>(socket), Ok(Some(_))) {
        let maps = [("uid_map", owners.uid), ("gid_map", owners.gid)];
        let mapped = maps.into_iter().try_for_each(|(map, own)| same_ids(first, map, own));
        let _ = send_packet(socket, &mapped, &[]);
    }
    sys::exit_now(0)
}

fn same_ids(process: &File, map: &str, own: u32) -> Result<(), Fault> {
    let lines = same_map(own);
    rustix::fs::openat(process, map, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|file| rustix::io::write(file, lines.as_bytes()))
        .map_err(std::io::Error::from)
        .during("map the step's ids")
        .map(drop)
}
