//! User namespaces with all users of an image, which only real root can make.
//!
//! There are two, one in the other, with the same ids. The outer one maps the owners of the layers, and the step runs in
//! the inner one. The kernel counts processes per user and namespace; what a limit of the inner namespace counts in the
//! outer one is all of them together, whichever of the image's users they run as.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::super::super::fault::{During, Fault};
use super::super::privileges;
use super::super::step_root::open_dir;
use super::super::sys;
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
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .during("create a socket")?;
        let work = Work {
            ours: ours.as_raw_fd(),
            theirs: theirs.as_raw_fd(),
            first: myself.as_raw_fd(),
            maps: [(c"uid_map", same_map(owners.uid)), (c"gid_map", same_map(owners.gid))],
        };
        // SAFETY: `help` keeps to what is asked of it.
        let pidfd = unsafe { sys::clone_sharing_memory(libc::CLONE_NEWUSER, move || help(&work)) }
            .during("create the namespace of the image's users")?;
        drop(theirs);
        let process = process(&pidfd)?;
        fs::write(process.join("uid_map"), owners.map(owners.uid)).during("map the image's users")?;
        fs::write(process.join("gid_map"), owners.map(owners.gid)).during("map the image's groups")?;
        let outer = File::open(process.join("ns/user")).during("open the namespace of the image's users")?;
        Ok(Self { outer, helper: ours })
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
        let mut errno = [0; size_of::<i32>()];
        rustix::io::write(&self.helper, &errno).map_err(io::Error::from).during("ask for the step's ids")?;
        let answer = rustix::io::retry_on_intr(|| rustix::io::read(&self.helper, &mut errno));
        match (answer.map_err(io::Error::from).during("hear of the step's ids")?, i32::from_ne_bytes(errno)) {
            (0, _) => Err(Fault::new("map the step's ids: that process was killed", libc::EPIPE)),
            (_, 0) => Ok(()),
            (_, errno) => Err(Fault::new("map the step's ids", errno)),
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

/// What the process in the outer namespace has to do.
struct Work {
    /// Both ends of the socket, and the directory in /proc of the step's first process.
    ours: RawFd,
    theirs: RawFd,
    first: RawFd,
    maps: [(&'static CStr, String); 2],
}

/// All that the process in the outer namespace does: nobody in the inner one may map more ids there than their own. It has the
/// memory of the step's first process, which goes on meanwhile, so it makes system calls alone, without the C library.
fn help(work: &Work) {
    // SAFETY: they are open in this process as they were in the other one, which has no objects for them here.
    let (socket, first) = unsafe {
        rustix::io::close(work.ours);
        (BorrowedFd::borrow_raw(work.theirs), BorrowedFd::borrow_raw(work.first))
    };
    let mut asked = [0; size_of::<i32>()];
    if matches!(rustix::io::retry_on_intr(|| rustix::io::read(socket, &mut asked)), Ok(1..)) {
        let mapped = work.maps.iter().try_for_each(|(map, lines)| {
            let file = rustix::fs::openat(first, *map, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
            rustix::io::write(file, lines.as_bytes()).map(drop)
        });
        let errno = mapped.err().map_or(0, Errno::raw_os_error);
        // The other one hears the end of this process where it does not hear this.
        let _ = rustix::io::write(socket, &errno.to_ne_bytes());
    }
}
