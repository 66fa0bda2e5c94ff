//! Trying each part of the sandbox by itself, each in a process of its own.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::super::config::ViewConfig;
use super::super::fault::{During, Fault};
use super::super::frame::{recv_packet, send_packet};
use super::super::owner::sandbox_owner;
use super::super::protocol::{Grounds, Part, Trial};
use super::confine::{self, Confined};
use super::sys::{self, Cloned};
use super::{Prepared, filter, footing, image, mounts, step_root, view};
use crate::ImageRoot;

/// Tries every part.
pub(super) fn all(grounds: &Grounds) -> Vec<Trial> {
    Part::ALL
        .into_iter()
        .map(|part| Trial { part, fault: isolated(|| attempt(part, grounds)).err() })
        .collect()
}

fn attempt(part: Part, grounds: &Grounds) -> Result<(), Fault> {
    match part {
        Part::UserNamespace => user_namespace(),
        Part::SubIds => sub_ids(grounds),
        Part::View => {
            let standing = footing::enter(grounds.view.sub_ids.as_ref())?;
            view::build(&grounds.view, standing).map(drop)
        }
        Part::Isolation => isolation(),
        Part::Overlay => overlay(grounds),
        Part::OwnProc => own_proc(&grounds.view),
        Part::Filter => filter::install(&filter::compile()?),
        Part::Landlock => landlock(),
        Part::Images => images(grounds),
    }
}

fn user_namespace() -> Result<(), Fault> {
    if let Some(owner) = sandbox_owner() {
        footing::become_user(owner)?;
    }
    footing::new_namespace()
}

/// Those that there are have to be of use.
fn sub_ids(grounds: &Grounds) -> Result<(), Fault> {
    let Some(sub_ids) = &grounds.view.sub_ids else { return Ok(()) };
    sub_ids.enter(CloneFlags::CLONE_NEWNS).flatten()
}

fn isolation() -> Result<(), Fault> {
    footing::enter(None)?;
    let namespaces = CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(namespaces).during("create network, IPC, UTS and cgroup namespaces")?;
    sys::loopback_up().during("start the loopback interface")
}

fn overlay(grounds: &Grounds) -> Result<(), Fault> {
    footing::enter(grounds.view.sub_ids.as_ref())?;
    let target = Path::new("/sys");
    mounts::filesystem("tmpfs", target, MsFlags::empty(), "mode=0755,size=4k")?;
    step_root::mount_workspace(&grounds.inputs, &grounds.scratch, target)?;
    std::fs::write(target.join("written"), "").during("write to an overlay")
}

/// The inputs are as good a layer as any: what matters is the filesystem.
fn images(grounds: &Grounds) -> Result<(), Fault> {
    let standing = footing::enter(grounds.view.sub_ids.as_ref())?;
    let view = view::build(&grounds.view, standing)?;
    let root = ImageRoot { layers: vec![grounds.inputs.clone()], ..ImageRoot::default() };
    image::Root::mount(standing, &view, &root, &grounds.scratch, None)?;
    std::fs::write(view.image.join("written"), "").during("write to an image")
}

fn landlock() -> Result<(), Fault> {
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).during("set no_new_privs")?;
    match confine::confine(false, &[])? {
        Confined::Wholly => Ok(()),
        Confined::InPart => Err(Fault::new("keep a step from the machine's abstract sockets", libc::ENOSYS)),
        Confined::Not => Err(Fault::new("find Landlock in the kernel", libc::ENOSYS)),
    }
}

fn own_proc(view: &ViewConfig) -> Result<(), Fault> {
    if Prepared::new(view.clone())?.own_proc {
        Ok(())
    } else {
        Err(Fault::new("mount a /proc of a step's own", libc::EPERM))
    }
}

/// Runs `trial` in a child, so that nothing of it stays.
fn isolated(trial: impl FnOnce() -> Result<(), Fault>) -> Result<(), Fault> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .during("create a socket")?;
    match sys::clone_process(0).during("fork")? {
        Cloned::Child => {
            let _ = send_packet(theirs.as_fd(), &trial(), &[]);
            sys::exit_now(0)
        }
        Cloned::Parent(..) => {
            drop(theirs);
            answer(ours.as_fd())
        }
    }
}

fn answer(socket: BorrowedFd<'_>) -> Result<(), Fault> {
    match recv_packet::<Result<(), Fault>>(socket).during("hear from a trial")? {
        Some((result, _)) => result,
        None => Err(Fault::new("finish a trial: its process was killed", libc::EPIPE)),
    }
}
