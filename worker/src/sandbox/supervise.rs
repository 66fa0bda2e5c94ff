//! Follows one step from its start to the death of its last process: reads what it prints, keeps its time,
//! stops it when told to. Runs on a thread of its own; everything it waits for is a descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::connection::{Connection, PATIENCE};
use super::disk::DiskWatch;
use super::fault::Fault;
use super::frame::{recv_packet, send_packet};
use super::protocol::{Ending, Order, Report, StepReport, Taken};
use crate::pump::Pump;
use crate::stopping::{Stop, StopSignal, Stopping};
use crate::{ExecuteError, Exit, LogSink, Owners, TerminalHost};

/// A step that was handed to the launcher.
pub(super) struct Supervised {
    /// To end a launcher that does not answer.
    pub(super) connection: Weak<Connection>,
    pub(super) channel: OwnedFd,
    pub(super) pump: Pump,
    pub(super) stop: StopSignal,
    pub(super) timeout: Duration,
    /// Who gets the terminal of somebody who looks into the step.
    pub(super) host: Option<Arc<dyn TerminalHost>>,
    pub(super) grace: Duration,
    pub(super) disk: Option<DiskWatch>,
    /// Whether all processes die with the first one.
    pub(super) is_namespace: bool,
}

/// How long a killed first process is waited for when only its number is known. Another process may have got
/// that number meanwhile; what is left behind after this is not used anyway.
const FAREWELL: Duration = Duration::from_secs(10);

/// What was learnt about the step so far.
#[derive(Default)]
struct Known {
    /// Readable once every process of the step is dead.
    processes: Option<OwnedFd>,
    /// The first process, when its pidfd could not be received.
    unwatched: Option<Pid>,
    ended: Option<Report>,
    fault: Option<Fault>,
    /// Of somebody who looks into the step.
    terminal: Option<OwnedFd>,
    /// The socket's other end is closed: nothing more will be told.
    silent: bool,
}

/// The end of a step.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) started_at: SystemTime,
    pub(crate) duration: Duration,
    pub(crate) taken: Taken,
    pub(crate) owners: Option<Owners>,
    /// As in [`crate::Execution`].
    pub(crate) out_of_disk: u64,
}

impl Ended {
    /// One of which nothing is known but that, and since when.
    pub(crate) fn unseen(exit: Exit, started_at: SystemTime, duration: Duration) -> Self {
        Self { exit, started_at, duration, taken: Taken::default(), owners: None, out_of_disk: 0 }
    }
}

impl From<Report> for Ended {
    fn from(report: Report) -> Self {
        let Report { ending, started_at, duration, taken, owners } = report;
        let exit = match ending {
            Ending::Code(code) => Exit::Code(code),
            Ending::Signal(signal) => Exit::Signal(signal),
        };
        Self { exit, started_at, duration, taken, owners, out_of_disk: 0 }
    }
}

/// Blocks until no process of the step is left.
pub(super) fn supervise(step: Supervised, log: &mut dyn LogSink) -> Result<Ended, ExecuteError> {
    let Supervised { connection, channel, mut pump, stop, timeout, host, grace, mut disk, is_namespace } =
        step;
    let (began, clock) = (SystemTime::now(), Instant::now());
    let mut stopping = Stopping::new(clock, timeout, grace);
    let mut known = Known::default();
    let mut out_of_disk = 0;
    while !known.is_over() {
        let mut patience = stopping.patience(Instant::now());
        if known.is_unanswered() {
            patience = sooner(patience, PATIENCE.saturating_sub(clock.elapsed()));
        }
        if let Some(disk) = &disk {
            patience = sooner(patience, disk.patience(Instant::now()));
        }
        wait(&channel, &pump, &stop, &known, patience).map_err(|source| failed("wait", source))?;
        pump.read(log).map_err(|source| failed("read the output", source))?;
        known.listen(channel.as_fd());
        if let (Some(terminal), Some(host)) = (known.terminal.take(), &host) {
            stopping.suspend();
            host.attach(terminal);
        }
        if known.is_unanswered() && clock.elapsed() >= PATIENCE {
            // It took the request and did nothing about it.
            connection.upgrade().inspect(|launcher| launcher.end());
            break;
        }
        if known.ended.is_none() {
            if let Some(found) = disk.as_mut().and_then(|disk| disk.look(Instant::now())) {
                out_of_disk = found;
                stopping.kill(Instant::now());
            }
            match stopping.next(Instant::now(), stop.is_raised()) {
                Some(Stop::Ask) => drop(send_packet(channel.as_fd(), &Order::Terminate, &[])),
                Some(Stop::Kill) if is_namespace => known.kill(),
                Some(Stop::Kill) => drop(send_packet(channel.as_fd(), &Order::Kill, &[])),
                None => {}
            }
        } else {
            // The main process is gone, so process 1 is ending, and the kernel ends the others with it.
            stop.lower();
        }
    }
    if known.processes.is_some() {
        // The report may have come, and the last process ended, since this thread listened.
        known.listen(channel.as_fd());
    }
    known.see_off(channel);
    // Nobody is left to write: what the pipes hold is all there will be.
    pump.drain(log).map_err(|source| failed("read the output", source))?;
    let ended = known.conclude(&stopping, began, clock.elapsed());
    let failed = !matches!(ended, Ok(Ended { exit: Exit::Code(0), .. }));
    if let Some(found) = disk.and_then(|disk| disk.end(failed)) {
        out_of_disk = out_of_disk.max(found);
    }
    Ok(Ended { out_of_disk, ..ended? })
}

fn failed(action: &str, source: io::Error) -> ExecuteError {
    ExecuteError::Setup { action: action.to_owned(), source }
}

fn wait(
    channel: &OwnedFd,
    pump: &Pump,
    stop: &StopSignal,
    known: &Known,
    patience: PollTimeout,
) -> io::Result<()> {
    let mut watched: Vec<PollFd<'_>> = Vec::with_capacity(5);
    let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
    watched.extend(pump.open_ends().map(readable));
    if !known.silent {
        watched.push(readable(channel.as_fd()));
    }
    if let Some(processes) = &known.processes {
        watched.push(readable(processes.as_fd()));
    }
    if !stop.was_seen() {
        watched.push(readable(stop.as_fd()));
    }
    match poll(&mut watched, patience) {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Rounded up, so that the time is over when the wait is.
fn sooner(patience: PollTimeout, other: Duration) -> PollTimeout {
    let other = other.as_millis().saturating_add(1);
    // To ask one without an end for its length is a panic in nix 0.31.
    match patience.is_some().then(|| patience.as_millis()).flatten() {
        Some(left) if u128::from(left) <= other => patience,
        _ => PollTimeout::try_from(other).unwrap_or(PollTimeout::MAX),
    }
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::new(fd, PollFlags::POLLIN)];
    poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

impl Known {
    /// Every process is dead, or nothing more can be learnt.
    fn is_over(&self) -> bool {
        match &self.processes {
            Some(processes) => is_readable(processes.as_fd()),
            None => self.silent,
        }
    }

    /// Whether the launcher has said nothing about the step yet.
    fn is_unanswered(&self) -> bool {
        self.processes.is_none() && self.unwatched.is_none() && self.fault.is_none()
    }

    /// Takes in whatever has been told.
    fn listen(&mut self, channel: BorrowedFd<'_>) {
        while !self.silent && is_readable(channel) {
            match recv_packet::<StepReport>(channel) {
                Ok(Some((StepReport::Started { pid }, fds))) => {
                    self.processes = fds.into_iter().next();
                    if self.processes.is_none() {
                        // Its end could not be seen, so it must not go on.
                        self.unwatched = Some(Pid::from_raw(pid));
                        let _ = send_packet(channel, &Order::Kill, &[]);
                    }
                }
                Ok(Some((StepReport::Failed(fault), _))) => self.fault = Some(fault),
                Ok(Some((StepReport::Terminal, fds))) => self.terminal = fds.into_iter().next(),
                Ok(Some((StepReport::Ended(report), _))) => self.ended = Some(report),
                // An order that came too late to be read. What was told before it is still there.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                Ok(None) | Err(_) => self.silent = true,
            }
        }
    }

    /// Kills process 1, and with it the whole step.
    fn kill(&mut self) {
        let Some(processes) = &self.processes else {
            // The launcher never answered; closing the socket ends the step if there is one.
            self.silent = true;
            return;
        };
        let number = std::os::fd::AsRawFd::as_raw_fd(processes);
        // SAFETY: pidfd_send_signal with a pidfd that we own and no siginfo.
        unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                number,
                libc::SIGKILL,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            );
        }
    }

    /// Waits, for a while, for a first process that has no pidfd. It ends with its channel.
    fn see_off(&self, channel: OwnedFd) {
        drop(channel);
        let Some(pid) = self.unwatched else { return };
        let clock = Instant::now();
        while kill(pid, None) != Err(nix::Error::ESRCH) && clock.elapsed() < FAREWELL {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn conclude(
        self,
        stopping: &Stopping,
        began: SystemTime,
        elapsed: Duration,
    ) -> Result<Ended, ExecuteError> {
        if self.processes.is_none() {
            // Whatever was told, processes may still write: nothing of it can be used.
            return Err(match (self.fault, self.unwatched) {
                (Some(fault), _) => fault.into(),
                (None, Some(_)) => failed("watch the step's processes", nix::Error::EMFILE.into()),
                (None, None) => failed("start it", io::ErrorKind::BrokenPipe.into()),
            });
        }
        if let Some(exit) = stopping.verdict() {
            let unseen = Ended::unseen(exit, began, elapsed);
            return Ok(self.ended.map_or(unseen, |report| Ended { exit, ..report.into() }));
        }
        match (self.ended, self.fault) {
            (Some(report), _) => Ok(report.into()),
            (None, Some(fault)) => Err(fault.into()),
            (None, None) => Err(ExecuteError::Lost { started_at: began, duration: elapsed }),
        }
    }
}

#[cfg(test)]
mod tests;
