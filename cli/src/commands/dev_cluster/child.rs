//! One process of the cluster.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::BOUND;
use super::home::Home;
use super::members::Member;
use crate::error::CliError;

/// How much of a log is shown when its process dies: enough for the error and what came before it.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: u64 = 16 << 10;

/// A process, running or ended.
pub(super) struct Child {
    member: Member,
    process: std::process::Child,
    log: PathBuf,
    /// Its end was noticed.
    is_over: bool,
}

impl Child {
    /// Starts this program once more. What it says goes to its log, after what is there.
    pub(super) fn start(member: Member, home: &Home) -> Result<Self, CliError> {
        let log = home.log(&member.name);
        let failed = |error| CliError::infra(format!("cannot start {}", member.name)).because(error);
        let file = File::options().create(true).append(true).open(&log).map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.arg(BOUND).arg(std::process::id().to_string()).args(&member.arguments);
        // In a group of its own: a Ctrl-C in the terminal is for this process alone.
        let started =
            command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn();
        let process = started.map_err(failed)?;
        Ok(Self { member, process, log, is_over: false })
    }

    pub(super) fn is_worker(&self) -> bool {
        self.member.is_worker
    }

    /// How it ended and the end of its log, once, if it has ended.
    pub(super) fn ended(&mut self) -> Option<String> {
        if self.is_over {
            return None;
        }
        let status = self.process.try_wait().ok().flatten()?;
        self.is_over = true;
        let (name, log) = (&self.member.name, self.log.display());
        let lines: String = tail(&self.log).lines().map(|line| format!("  {line}\n")).collect();
        Some(format!("{name} ended ({}). The end of {log}:\n{lines}", describe(status)))
    }

    /// Whether it still runs.
    pub(super) fn lives(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Tells it to end.
    pub(super) fn terminate(&self) {
        if !self.is_over {
            // One that is just ending needs no telling.
            let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        }
    }

    /// Ends it.
    pub(super) fn kill(&mut self) {
        if self.lives() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "somehow".to_owned(),
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_else(|error| format!("cannot be read: {error}").into_bytes());
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        assert!(tail(&log).starts_with("cannot be read"));
        std::fs::write(&log, "a\nb\n").unwrap();
        assert_eq!(tail(&log), "a\nb");
        let long: String = (0..10_000).map(|number| format!("line {number}\n")).collect();
        std::fs::write(&log, long).unwrap();
        let tail = tail(&log);
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.ends_with("line 9999"), "{tail}");
    }
}
