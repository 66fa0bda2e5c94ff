//! The first process of a step's pid namespace: builds the step's world, starts its program, waits for it.
//! When it ends, the kernel kills whatever else the step started, wherever it hid.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::sethostname;

use super::super::fault::{During, Fault};
use super::super::frame::send_packet;
use super::super::protocol::{Ending, Report, StepReport, StepRequest};
use super::checks::Checks;
use super::program::Program;
use super::running::start;
use super::visit::Visitor;
use super::{
    Launcher, Prepared, caches, confine, filter, image, network, plain, privileges, secrets, step_root, sys,
};
use crate::Owners;

/// The descriptors that come with a request.
pub(super) struct StepFds {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    /// To cullet; its other end closing means that nobody wants the step any more.
    pub(super) channel: OwnedFd,
    /// The network that it shares with others.
    pub(super) network: Option<OwnedFd>,
    /// Of the step's control groups: `cgroup.procs` of each.
    pub(super) entrances: Vec<OwnedFd>,
}

/// What the step's program finds around it.
#[derive(Default)]
pub(super) struct World {
    pub(super) workspace: PathBuf,
    /// `HOME` where nothing else is declared.
    pub(super) home: Option<String>,
    /// Whose files are whose in the step's image.
    pub(super) owners: Option<Owners>,
}

/// Everything process 1 does.
pub(super) fn main(launcher: &Launcher, request: StepRequest, fds: StepFds) -> ! {
    // Before it has a control group namespace, whose root this becomes.
    let entered = fds.entrances.iter().try_for_each(|entrance| {
        nix::unistd::write(entrance, b"0").during("enter the step's control group").map(drop)
    });
    let entered = entered.and_then(|()| network::join(fds.network.as_ref()));
    let Ok((channel, alive)) = keep_only(&fds, launcher.alive()) else {
        // Without its socket this process cannot even say what is wrong; cullet sees it end.
        sys::exit_now(1);
    };
    let end_all = match launcher {
        // The kernel ends what is left of a pid namespace.
        Launcher::Sandbox(_) => || (),
        Launcher::Plain => plain::end_all,
    };
    let started = entered
        .and_then(|()| enter(launcher, &request, alive))
        .and_then(|world| run(request, &world, channel, launcher));
    let report = started.unwrap_or_else(StepReport::Failed);
    end_all();
    let _ = send_packet(channel, &report, &[]);
    sys::exit_now(0)
}

/// The step's program, and whoever looks into the step.
fn run(
    request: StepRequest,
    world: &World,
    channel: BorrowedFd<'_>,
    launcher: &Launcher,
) -> Result<StepReport, Fault> {
    // Whoever visits a step that has ended needs none.
    let checks = Cell::new(Checks::new(&request, world)?);
    let wait =
        |program: Program| Ok(start(program, checks.take(), channel, world.owners)?.wait(channel, launcher));
    let (visitor, program) = (Visitor::of(&request, world)?, Program::new(&request, world)?);
    // The step's secrets are where it finds them.
    drop(request);
    let visitor = match visitor {
        Some(visitor) if !visitor.after_failure => return wait(visitor.sit_down(channel)?),
        visitor => visitor,
    };
    let report = wait(program)?;
    if let (Some(visitor), StepReport::Ended(Report { ending, .. })) = (visitor, &report)
        && *ending != Ending::Code(0)
        && let Ok(program) = visitor.sit_down(channel)
    {
        // How the step ended is known; how the visit ends changes nothing.
        let _: Result<StepReport, Fault> = wait(program);
    }
    Ok(report)
}

/// Puts the descriptors where they belong and closes all others: the launcher's socket above all, whose end
/// must be seen when the launcher dies. Returns the channel and the launcher's pidfd.
fn keep_only(fds: &StepFds, alive: Option<&OwnedFd>) -> io::Result<(BorrowedFd<'static>, Option<OwnedFd>)> {
    const CHANNEL: RawFd = 3;
    const ALIVE: RawFd = 4;
    let channel = fds.channel.try_clone()?;
    // After the channel's, so that it is not made at its number.
    let alive = alive.map(OwnedFd::try_clone).transpose()?;
    sys::duplicate_to(fds.stdout.as_fd(), 1)?;
    sys::duplicate_to(fds.stderr.as_fd(), 2)?;
    sys::duplicate_to(channel.as_fd(), CHANNEL)?;
    // The objects' descriptors are closed below, or they are the ones that stay.
    let _ = channel.into_raw_fd();
    let mut first_unused = CHANNEL + 1;
    let mut kept = None;
    if let Some(alive) = alive.map(IntoRawFd::into_raw_fd) {
        // SAFETY: it is open until close_from, and no longer owned by an object.
        sys::duplicate_to(unsafe { BorrowedFd::borrow_raw(alive) }, ALIVE)?;
        // SAFETY: descriptor 4 was just made, and no object that owns one of that number is used again.
        kept = Some(unsafe { OwnedFd::from_raw_fd(ALIVE) });
        first_unused = ALIVE + 1;
    }
    sys::close_from(first_unused.cast_unsigned())?;
    // SAFETY: descriptor 3 was made above and is never closed in this process.
    Ok((unsafe { BorrowedFd::borrow_raw(CHANNEL) }, kept))
}

/// Becomes what the step's program may start from.
fn enter(launcher: &Launcher, request: &StepRequest, alive: Option<OwnedFd>) -> Result<World, Fault> {
    match launcher {
        Launcher::Sandbox(prepared) => {
            let world = isolate(prepared, request)?;
            // The kernel tells only of a death that comes after it was asked to.
            if alive.is_some_and(|launcher| has_ended(launcher.as_fd())) {
                sys::exit_now(1);
            }
            Ok(world)
        }
        Launcher::Plain => {
            plain::adopt_orphans()?;
            Ok(World { workspace: request.scratch.join("workspace"), ..World::default() })
        }
    }
}

/// From a fork of the launcher to a process that has nothing but what the step may have.
fn isolate(prepared: &Prepared, request: &StepRequest) -> Result<World, Fault> {
    // Of a process that is hidden as the launcher is, it belongs to root, and the id maps are written there.
    sys::prctl(libc::PR_SET_DUMPABLE, 1, 0).during("own /proc/self")?;
    let mut namespaces = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    let own_network = !request.network && !request.company.joins;
    namespaces.set(CloneFlags::CLONE_NEWNET, own_network);
    unshare(namespaces).during("create the step's namespaces")?;
    sethostname("cullet").during("set the host name")?;
    sys::leave_keyring();
    if own_network {
        sys::loopback_up().during("start the loopback interface")?;
    }
    let proc = step_root::assemble(prepared, request)?;
    network::show_names(&prepared.view, &request.company)?;
    let volumes = caches::Mounting::begin(prepared.standing, &prepared.view, request)?;
    let most = most_processes(prepared.config.max_processes, request.processes);
    let mut world = World { workspace: PathBuf::from("/workspace"), ..World::default() };
    let kept = match &request.image {
        None => {
            secrets::show(&prepared.view, &request.secrets, prepared.standing.owner())?;
            volumes.in_view();
            step_root::pivot(&prepared.view.root)?;
            step_root::silence_stdin()?;
            privileges::become_nobody(prepared.standing, &proc)?;
            privileges::NONE
        }
        Some(image) => {
            let scratch = &request.scratch;
            let root =
                image::Root::assemble(prepared.standing, &prepared.view, image, scratch, &request.secrets)?;
            volumes.in_image();
            root.make_start(&prepared.view, &request.working_directory)?;
            (world.owners, world.home) = (Some(root.owners()), Some(root.home()));
            step_root::pivot(&prepared.view.image)?;
            step_root::silence_stdin()?;
            root.become_user(most, &proc)?
        }
    };
    privileges::drop_all(most, &proc, kept)?;
    // Changing user clears this, so it comes last; the caller sees whether the launcher was gone before.
    sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong, 0).during("die with the launcher")?;
    let volumes: Vec<&Path> = request.caches.iter().map(|volume| Path::new(&volume.path)).collect();
    confine::confine(request.image.is_some(), &volumes)?;
    filter::install(&prepared.filter)?;
    Ok(world)
}

/// The smaller of what any step and what this one may have.
fn most_processes(any: u64, this: u32) -> u64 {
    if this == 0 { any } else { any.min(this.into()) }
}

pub(super) fn has_ended(process: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::new(process, PollFlags::POLLIN)];
    poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
