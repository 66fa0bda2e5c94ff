//! A process of the cluster.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// It is killed with this.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts it, with everything that it says added to a file.
    ///
    /// # Panics
    /// Where that is not possible.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log);
        let child =
            log.and_then(|log| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn());
        match child {
            Ok(child) => Self(child),
            Err(error) => panic!("{:?} cannot be started: {error}", command.get_program()),
        }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal, such as `-STOP`.
    ///
    /// # Panics
    /// Where there is nobody to send it to.
    pub fn signal(&self, signal: impl AsRef<OsStr>) {
        let sent = Command::new("kill").arg(signal).arg(self.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "no process {}", self.id());
    }

    /// As `kill -9` does.
    pub fn kill(mut self) {
        self.end();
    }

    /// Sends SIGTERM, and gives the exit code; none if it takes longer than that.
    pub fn terminate(mut self, patience: Duration) -> Option<i32> {
        self.signal("-TERM");
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.0.try_wait() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(Some(_)))
    }

    /// What it has ended with; none while it runs, and where a signal ended it.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.0.try_wait().ok().flatten()?.code()
    }

    fn end(&mut self) {
        // One that has ended already needs no killing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
