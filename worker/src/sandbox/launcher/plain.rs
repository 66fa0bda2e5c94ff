//! A step without namespaces: its first process adopts whatever the step leaves behind, and ends it.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::super::fault::{During, Fault};
use super::sys;

/// How often the children are counted anew. Each round kills all that were there; only a step that forks faster
/// than it can be killed needs many, and without namespaces it cannot be held for ever.
const MAX_ROUNDS: usize = 10_000;

/// Orphans of the step become children of this process.
pub(super) fn adopt_orphans() -> Result<(), Fault> {
    sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0).during("adopt the step's orphans")?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).during("set no_new_privs")?;
    super::step_root::silence_stdin()
}

/// Sends it to every descendant that can be found: process groups first, then children that have left them.
pub(super) fn tell_all(signal: Signal) {
    for child in children() {
        let _ = kill(Pid::from_raw(-child.as_raw()), signal);
        let _ = kill(child, signal);
    }
}

/// Kills every descendant and waits for it. Killing a process makes its children ours.
pub(super) fn end_all() {
    for _ in 0..MAX_ROUNDS {
        tell_all(Signal::SIGKILL);
        match waitpid(None::<Pid>, Some(WaitPidFlag::empty())) {
            Err(Errno::ECHILD) => return,
            // One is buried; bury the others that are dead already before killing again.
            _ => bury_the_dead(),
        }
    }
}

fn bury_the_dead() {
    while let Ok(status) = waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
        if status.pid().is_none() {
            return;
        }
    }
}

/// The children of this process, which has one thread.
fn children() -> Vec<Pid> {
    fs::read_to_string("/proc/thread-self/children")
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|number| number.parse().ok())
        .map(Pid::from_raw)
        .collect()
}
