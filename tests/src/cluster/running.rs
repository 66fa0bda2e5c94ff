//! A run that is under way.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Outcome;

/// How long is waited for the next event.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a command may take: the longest of them wait for leases and elections on a busy machine.
const LONGEST: Duration = Duration::from_secs(240);

/// `cullet run --progress json`, read as it goes.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    stderr: JoinHandle<Vec<u8>>,
}

/// The output of a command that ends in time.
///
/// # Panics
/// Where it does not, or cannot be started.
pub(super) fn output(command: Command) -> Output {
    Running::start(command).output()
}

impl Running {
    /// Starts it.
    ///
    /// # Panics
    /// Where that is not possible.
    pub fn start(mut command: Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("the command cannot be started: {error}"));
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
            // Nobody may want the rest.
            lines.map_while(Result::ok).try_for_each(|line| sender.send(line).ok())
        });
        let stderr = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read until then is all there is.
            let _ = stderr.map(|mut stderr| stderr.read_to_end(&mut bytes));
            bytes
        });
        Self { child, lines, seen: Vec::new(), stderr }
    }

    /// Waits for a line with this in it, and gives it.
    ///
    /// # Panics
    /// Where it does not come.
    pub fn until(&mut self, part: &str) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(_) => panic!("'{part}' did not come: {:#?}", self.seen),
            }
        }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it came to, once it has ended.
    ///
    /// # Panics
    /// Where it does not end, or its output is not what it should be.
    pub fn outcome(self) -> Outcome {
        Outcome::of(&self.output())
    }

    fn output(mut self) -> Output {
        let deadline = Instant::now() + LONGEST;
        // It ends with its output.
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    // It may end just now.
                    let _ = self.child.kill();
                    let said = String::from_utf8_lossy(&self.stderr.join().unwrap_or_default()).into_owned();
                    panic!("no end after {LONGEST:?}: {:#?}\n{said}", self.seen);
                }
            }
        }
        let status: ExitStatus = self.child.wait().unwrap_or_else(|error| panic!("it was lost: {error}"));
        let stdout = self.seen.into_iter().flat_map(|line| [line, "\n".to_owned()]).collect::<String>();
        Output { status, stdout: stdout.into_bytes(), stderr: self.stderr.join().unwrap_or_default() }
    }
}
