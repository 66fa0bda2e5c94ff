//! Asks the process that executes a run to stop, as Ctrl-C in its terminal would.

use std::io;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{StoredRun, process};

/// Why a run could not be cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// It is over.
    #[error("run {run} is over")]
    Over {
        /// The run.
        run: String,
    },
    /// Its process cannot be seen from here: it runs in another container or on another machine.
    #[error("run {run} is executed by process {pid} of another container or machine")]
    Elsewhere {
        /// The run.
        run: String,
        /// As that place numbers it.
        pid: u32,
    },
    /// The operating system refused.
    #[error("cannot signal process {pid}")]
    Signal {
        /// The process.
        pid: u32,
        /// Why not.
        source: io::Error,
    },
}

/// Sends the interrupt signal to the process of `run`. Returns when it is sent, not when the run has ended.
///
/// # Errors
/// See [`CancelError`]. A process that merely got the number of a dead one is never signalled.
pub fn cancel(run: &StoredRun) -> Result<(), CancelError> {
    let meta = run.meta();
    let over = || CancelError::Over { run: meta.run.clone() };
    let elsewhere = || CancelError::Elsewhere { run: meta.run.clone(), pid: meta.pid };
    if !run.is_live() {
        return Err(over());
    }
    let raw = i32::try_from(meta.pid).ok().and_then(Pid::from_raw).ok_or_else(elsewhere)?;
    let signal = |error: rustix::io::Errno| CancelError::Signal { pid: meta.pid, source: error.into() };
    let process = match pidfd_open(raw, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH) => return Err(elsewhere()),
        Err(error) => return Err(signal(error)),
    };
    // Whatever has the number now is held by the descriptor. If it started when the run's process did, and the
    // run still holds its lock, it is that process.
    if process::started(meta.pid) != meta.pid_started || meta.pid_started.is_none() {
        return Err(elsewhere());
    }
    if !run.is_live() {
        return Err(over());
    }
    pidfd_send_signal(process, Signal::INT).map_err(signal)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Child, Command};

    use super::*;
    use crate::history::{Meta, RunRecorder, Store};

    /// A run that says it belongs to `owner`, which started at `started`.
    fn run(store: &Store, owner: &Child, started: Option<u64>) -> (RunRecorder, StoredRun) {
        let meta = Meta {
            run: format!("r{}", owner.id()),
            pid: owner.id(),
            pid_started: started,
            ..Meta::of_this_process()
        };
        let recorder = RunRecorder::create(store, &meta).unwrap();
        (recorder, store.find(Some(&meta.run)).unwrap())
    }

    /// A process that minds SIGINT, which shells have what they start in the background ignore.
    fn sleep() -> Child {
        let child = Command::new("env").args(["--default-signal=INT", "sleep", "60"]).spawn().unwrap();
        let comm = format!("/proc/{}/comm", child.id());
        while std::fs::read_to_string(&comm).unwrap() != "sleep\n" {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child
    }

    #[test]
    fn the_process_of_the_run_is_interrupted() {
        let dir = tempfile::tempdir().unwrap();
        let mut owner = sleep();
        let (recorder, run) = run(&Store::open(dir.path()), &owner, process::started(owner.id()));
        cancel(&run).unwrap();
        assert_eq!(owner.wait().unwrap().signal(), Some(2));
        drop(recorder);
        assert!(matches!(cancel(&run), Err(CancelError::Over { .. })));
    }

    #[test]
    fn a_process_that_got_the_number_of_another_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut other = sleep();
        let store = Store::open(dir.path());
        for started in [None, Some(1)] {
            let (_recorder, run) = run(&store, &other, started);
            assert!(matches!(cancel(&run), Err(CancelError::Elsewhere { .. })));
            std::fs::remove_file(dir.path().join(format!("{}.jsonl", run.meta().run))).unwrap();
        }
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
