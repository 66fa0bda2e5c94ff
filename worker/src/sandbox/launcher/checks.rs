//! Checks of a service: a program that is run beside the service's own, in its container and as its user, because it is
//! started from where the service's program was.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::WaitStatus;
use nix::unistd::{ForkResult, Pid, fork};

use super::super::fault::Fault;
use super::super::frame::send_packet;
use super::super::protocol::{Ending, StepRequest};
use super::init::World;
use super::program::Program;
use super::sys;

/// What a service is checked with, and the check that runs.
#[derive(Default)]
pub(super) struct Checks {
    program: Option<Program>,
    /// One at a time: whoever asks for another has given the one before up.
    running: Option<Running>,
}

struct Running {
    pid: Pid,
    answer: OwnedFd,
}

impl Checks {
    /// Prepares what the request says.
    pub(super) fn new(request: &StepRequest, world: &World) -> Result<Self, Fault> {
        let check = &request.company.check;
        let program =
            (!check.is_empty()).then(|| Program::of(request, check, &request.env, world)).transpose()?;
        Ok(Self { program, running: None })
    }

    /// Begins one. Whoever asked sees the end of the socket where that is not possible.
    pub(super) fn begin(&mut self, fds: Vec<OwnedFd>) {
        self.end();
        let mut fds = fds.into_iter();
        let (Some(answer), Some(output)) = (fds.next(), fds.next()) else { return };
        let Some(program) = &self.program else {
            let _ = send_packet(answer.as_fd(), &Ending::Code(0), &[]);
            return;
        };
        // SAFETY: this process has one thread, so the child may run any code.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                let shown = [1, 2].iter().all(|number| sys::duplicate_to(output.as_fd(), *number).is_ok());
                if shown { program.run() } else { sys::exit_now(1) }
            }
            Ok(ForkResult::Parent { child }) => self.running = Some(Running { pid: child, answer }),
            Err(_) => {}
        }
    }

    /// What closes when nobody wants to know any more.
    pub(super) fn awaited(&self) -> Option<BorrowedFd<'_>> {
        self.running.as_ref().map(|check| check.answer.as_fd())
    }

    /// Ends the one that runs, with what it has started in its process group.
    pub(super) fn end(&mut self) {
        if let Some(Running { pid, .. }) = self.running.take() {
            // It may not have made its group yet.
            let _ = kill(Pid::from_raw(-pid.as_raw()), Signal::SIGKILL);
            let _ = kill(pid, Signal::SIGKILL);
        }
    }

    /// Answers, if it is the check that has ended.
    pub(super) fn buried(&mut self, status: WaitStatus) {
        let ending = match status {
            WaitStatus::Exited(_, code) => Ending::Code(code),
            WaitStatus::Signaled(_, signal, _) => Ending::Signal(signal as i32),
            _ => return,
        };
        if let Some(check) = self.running.take_if(|check| Some(check.pid) == status.pid()) {
            let _ = send_packet(check.answer.as_fd(), &ending, &[]);
        }
    }
}
