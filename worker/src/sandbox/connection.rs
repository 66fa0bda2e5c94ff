//! Cullet's end of the conversation with the launcher.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::config::LauncherCommand;
use super::fault::Fault;
use super::frame::{recv_frame, send_frame};
use super::protocol::{Footing, Mode, Request, Trial, Welcome};
use super::runner::setup;
use crate::ExecuteError;

/// How long the launcher may let cullet wait, for its greeting or to take a request. It needs milliseconds; one
/// that is stopped or stuck counts as dead.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A running launcher. Dropping it ends the launcher and every step it started.
#[derive(Debug)]
pub(super) struct Connection {
    /// Locked while a request is written: its bytes and descriptors must not mix with another's.
    stream: Mutex<UnixStream>,
    process: Mutex<Child>,
    pub(super) footing: Footing,
}

impl Connection {
    /// Starts the launcher and waits until it stands.
    pub(super) fn open(command: &LauncherCommand, mode: &Mode) -> Result<Self, ExecuteError> {
        let (mut guard, stream) = spawn(command)?;
        let footing = match ask(&stream, mode)? {
            Welcome::Ready(footing) => footing,
            Welcome::Refused(fault) => return Err(refused(&fault)),
            Welcome::Tried(_) => return Err(confused()),
        };
        let process = guard.0.take().ok_or_else(confused)?;
        Ok(Self { stream: Mutex::new(stream), process: Mutex::new(process), footing })
    }

    /// Starts a launcher that only tries things.
    pub(super) fn try_parts(command: &LauncherCommand, trials: &Mode) -> Result<Vec<Trial>, ExecuteError> {
        let (_guard, stream) = spawn(command)?;
        match ask(&stream, trials)? {
            Welcome::Tried(trials) => Ok(trials),
            Welcome::Refused(fault) => Err(refused(&fault)),
            Welcome::Ready(_) => Err(confused()),
        }
    }

    /// Hands a step to the launcher, or another request. What becomes of it is told on the socket that goes with it. A
    /// launcher that does not take it within ten seconds is ended, with all its steps.
    pub(super) fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = send_frame(&stream, request, fds);
        match &sent {
            // Refused before anything was sent.
            Err(error) if error.raw_os_error() == Some(libc::E2BIG) => {}
            // Part of the request may have been sent, so nothing can follow it.
            Err(_) => self.end(),
            Ok(()) => {}
        }
        sent.map_err(in_time)
    }

    /// Ends the launcher and every step it started.
    pub(super) fn end(&self) {
        end(&mut self.process.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The launcher's process id.
    pub(super) fn pid(&self) -> u32 {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Whether the launcher process still runs.
    pub(super) fn is_alive(&self) -> bool {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(process.try_wait(), Ok(None))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        end(process);
    }
}

/// A launcher that has not answered yet: ended when the greeting fails.
struct Unready(Option<Child>);

impl Drop for Unready {
    fn drop(&mut self) {
        if let Some(process) = &mut self.0 {
            end(process);
        }
    }
}

/// SIGKILL rather than the end of the socket: it also works on a launcher that was stopped.
fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

fn spawn(command: &LauncherCommand) -> Result<(Unready, UnixStream), ExecuteError> {
    let (ours, theirs) = UnixStream::pair().map_err(|source| setup("create a socket", source))?;
    ours.set_read_timeout(Some(PATIENCE))
        .and_then(|()| ours.set_write_timeout(Some(PATIENCE)))
        .map_err(|source| setup("limit the wait for the launcher", source))?;
    let process = Command::new(&command.program)
        .arg0("cullet-launcher")
        .args(&command.args)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|source| setup("start the launcher", source))?;
    Ok((Unready(Some(process)), ours))
}

fn ask(stream: &UnixStream, mode: &Mode) -> Result<Welcome, ExecuteError> {
    send_frame(stream, mode, &[]).map_err(|source| setup("greet the launcher", in_time(source)))?;
    match recv_frame(stream).map_err(|source| setup("hear from the launcher", in_time(source)))? {
        Some((welcome, _)) => Ok(welcome),
        None => Err(setup("hear from the launcher", io::ErrorKind::UnexpectedEof.into())),
    }
}

/// A socket whose time is up says that it would block.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "no answer in ten seconds"),
        _ => error,
    }
}

/// The launcher is this same program, so an answer that does not fit means that it was replaced meanwhile.
fn confused() -> ExecuteError {
    setup("understand the launcher", io::ErrorKind::InvalidData.into())
}

/// Says what the machine forbids and what can be done about it.
pub(super) fn refused(fault: &Fault) -> ExecuteError {
    ExecuteError::Unavailable(format!(
        "the sandbox cannot be used on this machine: {fault}. {}",
        advice(fault)
    ))
}

/// What a person can do about a refusal.
pub(super) fn advice(fault: &Fault) -> &'static str {
    match fault.errno {
        libc::EPERM | libc::EACCES => {
            "User namespaces or mounts are forbidden here: check `sysctl kernel.unprivileged_userns_clone`, \
             `kernel.apparmor_restrict_unprivileged_userns`, and in a container its seccomp profile \
             (`--security-opt seccomp=unconfined --security-opt systempaths=unconfined`)"
        }
        libc::ENOSPC | libc::EUSERS => {
            "The limit of namespaces is reached: raise `sysctl user.max_user_namespaces`"
        }
        libc::ENOSYS | libc::EINVAL | libc::ENODEV => {
            "The kernel is too old or lacks a feature: Linux 5.14 with user namespaces and overlayfs is needed"
        }
        _ => "`cullet doctor` tries each part by itself and says which one fails",
    }
}
