//! The terminal of whoever looks into a step. It is made in the step's own `/dev/pts`, where it has a name.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};

use super::super::fault::{During, Fault};
use super::super::frame::send_packet;
use super::super::protocol::{StepReport, StepRequest};
use super::init::World;
use super::program::Program;
use super::sys;

/// A program that waits for a terminal.
pub(super) struct Visitor {
    program: Program,
    pub(super) after_failure: bool,
}

impl Visitor {
    /// Of whoever wants to look into the step.
    pub(super) fn of(request: &StepRequest, world: &World) -> Result<Option<Self>, Fault> {
        let Some(visit) = &request.visit else { return Ok(None) };
        let mut env = request.env.clone();
        env.retain(|(name, _)| visit.env.iter().all(|(other, _)| name != other));
        env.extend(visit.env.iter().cloned());
        let program = Program::of(request, &visit.arguments, &env, world)?;
        Ok(Some(Self { program, after_failure: visit.after_failure }))
    }

    /// Its program with a terminal, whose other side goes to cullet.
    pub(super) fn sit_down(self, channel: BorrowedFd<'_>) -> Result<Program, Fault> {
        let (master, terminal) = open().during("open a terminal")?;
        send_packet(channel, &StepReport::Terminal, &[master.as_fd()]).during("hand over the terminal")?;
        Ok(self.program.at(terminal))
    }
}

fn open() -> std::io::Result<(OwnedFd, OwnedFd)> {
    let mut options = OpenOptions::new();
    let master = options.read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/ptmx")?;
    unlockpt(&master)?;
    let terminal =
        ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    Ok((master.into(), terminal))
}

/// Makes a terminal the one of this process's session, and its standard input and outputs.
pub(super) fn sit_at(terminal: BorrowedFd<'_>) {
    // A program without a controlling terminal still has this one to read and write.
    let _ = rustix::process::ioctl_tiocsctty(terminal);
    for descriptor in 0..3 {
        let _ = sys::duplicate_to(terminal, descriptor);
    }
}
