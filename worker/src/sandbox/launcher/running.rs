//! The program of a step, from its start to its end, as the step's first process sees it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::super::fault::{During, Fault};
use super::super::frame::recv_packet;
use super::super::protocol::{Ending, Order, Report, StepReport};
use super::checks::Checks;
use super::program::Program;
use super::{Launcher, plain, sys, taken};
use crate::Owners;

/// The step's program, running.
pub(super) struct Running {
    pid: Pid,
    children: SignalFd,
    started_at: SystemTime,
    clock: Instant,
    owners: Option<Owners>,
    checks: Checks,
    /// Of a visitor.
    terminal: Option<OwnedFd>,
}

/// Starts it. This process forgets what it was started with.
pub(super) fn start(
    program: Program,
    checks: Checks,
    channel: BorrowedFd<'_>,
    owners: Option<Owners>,
) -> Result<Running, Fault> {
    sys::notice_children();
    let mut chld = SigSet::empty();
    chld.add(Signal::SIGCHLD);
    chld.thread_block().during("block SIGCHLD")?;
    let children = SignalFd::with_flags(&chld, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .during("watch for SIGCHLD")?;
    if is_closed(channel) {
        return Err(Fault::new("find anybody who wants the step", libc::EPIPE));
    }
    // This process is not at it, and no signal comes when it is gone.
    let terminal = program.terminal().map(OwnedFd::try_clone).transpose().during("watch the terminal")?;
    let (started_at, clock) = (SystemTime::now(), Instant::now());
    // SAFETY: this process has one thread, so the child may run any code.
    match unsafe { fork() }.during("fork")? {
        ForkResult::Child => program.run(),
        ForkResult::Parent { child } => {
            Ok(Running { pid: child, children, started_at, clock, owners, checks, terminal })
        }
    }
}

fn is_closed(channel: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::new(channel, PollFlags::empty())];
    poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

impl Running {
    /// Until the program ends. Follows orders meanwhile, and ends the step when cullet is gone.
    pub(super) fn wait(&mut self, channel: BorrowedFd<'_>, launcher: &Launcher) -> StepReport {
        loop {
            if let Some(ending) = self.reap() {
                return StepReport::Ended(Report {
                    ending,
                    started_at: self.started_at,
                    duration: self.clock.elapsed(),
                    taken: taken::taken(),
                    owners: self.owners,
                });
            }
            let mut watched = vec![
                PollFd::new(self.children.as_fd(), PollFlags::POLLIN),
                PollFd::new(channel, PollFlags::POLLIN),
            ];
            let of_checks = watched.len();
            watched.extend(self.checks.awaited().map(|answer| PollFd::new(answer, PollFlags::POLLIN)));
            let of_terminal = watched.len();
            let terminal = self.terminal.as_ref().map(AsFd::as_fd);
            watched.extend(terminal.map(|terminal| PollFd::new(terminal, PollFlags::empty())));
            match poll(&mut watched, PollTimeout::NONE) {
                Ok(_) | Err(nix::Error::EINTR) => {}
                // The step took this process's descriptors away (prlimit), and with them all means to wait:
                // asking again would never end.
                Err(_) => end_step(launcher),
            }
            let happened =
                |at: usize| watched.get(at)?.revents().filter(|events| !events.is_empty()).map(drop);
            let ordered = happened(1).is_some();
            let given_up = of_checks < of_terminal && happened(of_checks).is_some();
            let hung_up = happened(of_terminal).is_some();
            if given_up {
                self.checks.end();
            }
            if hung_up {
                // The kernel has sent SIGHUP, which need not have ended what they left.
                self.terminal = None;
                tell_others(launcher, Signal::SIGKILL);
            }
            if ordered {
                match recv_packet::<Order>(channel) {
                    Ok(Some((Order::Check, fds))) => self.checks.begin(fds),
                    order => obey(order, launcher),
                }
            }
            let _ = self.children.read_signal();
        }
    }

    /// Buries every dead child; the program's end is the answer.
    fn reap(&mut self) -> Option<Ending> {
        loop {
            match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.pid => return Some(Ending::Code(code)),
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.pid => {
                    return Some(Ending::Signal(signal as i32));
                }
                Ok(WaitStatus::StillAlive) | Err(_) => return None,
                Ok(other) => self.checks.buried(other),
            }
        }
    }
}

fn obey(order: io::Result<Option<(Order, Vec<OwnedFd>)>>, launcher: &Launcher) {
    match order {
        Ok(Some((Order::Terminate, _))) => tell_others(launcher, Signal::SIGTERM),
        _ => end_step(launcher),
    }
}

/// Sends it to every other process of the step.
fn tell_others(launcher: &Launcher, signal: Signal) {
    match launcher {
        // From process 1, -1 is every process of the step and no other.
        Launcher::Sandbox(_) => drop(kill(Pid::from_raw(-1), signal)),
        Launcher::Plain => plain::tell_all(signal),
    }
}

/// Ends this process and every other one of the step.
fn end_step(launcher: &Launcher) -> ! {
    match launcher {
        // The kernel ends what is left of a pid namespace.
        Launcher::Sandbox(_) => {}
        Launcher::Plain => plain::end_all(),
    }
    sys::exit_now(1)
}
