//! A buffered output that outlives its reader.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// Written at once when this much waits.
const BUFFER: usize = 64 << 10;

/// How long a reader that takes nothing is waited for, where the descriptor does not block by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Collects text and writes it in one piece. After the first error (the reader is gone, the disk is full)
/// everything is dropped: a run does not stop because nobody looks.
pub struct Output {
    to: Box<dyn Write + Send>,
    buffer: Vec<u8>,
    broken: bool,
}

impl Output {
    /// Writes to `to`, which need not buffer.
    pub fn new(to: Box<dyn Write + Send>) -> Self {
        Self { to, buffer: Vec::with_capacity(4 << 10), broken: false }
    }

    /// Standard output, past the standard library's line buffer: a redraw must reach the terminal whole.
    pub fn stdout() -> Self {
        match std::io::stdout().as_fd().try_clone_to_owned() {
            Ok(descriptor) => Self::new(Box::new(File::from(descriptor))),
            Err(_) => Self::new(Box::new(std::io::stdout())),
        }
    }

    /// Where to append the next piece of text. Call [`Output::grown`] afterwards.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Appends text.
    pub fn push(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
        self.grown();
    }

    /// Writes if much waits.
    pub fn grown(&mut self) {
        if self.buffer.len() >= BUFFER {
            self.flush();
        }
    }

    /// Writes everything that waits.
    pub fn flush(&mut self) {
        if !self.broken
            && !self.buffer.is_empty()
            && let Err(error) = write_all(&mut *self.to, &self.buffer)
        {
            self.broken = true;
            complain(&error);
        }
        self.buffer.clear();
    }
}

/// A reader that went away did so on purpose; that a disk is full nobody would notice otherwise.
fn complain(error: &io::Error) {
    if error.kind() != io::ErrorKind::BrokenPipe {
        let text = format!("warning: standard output cannot be written, the rest is left out: {error}\n");
        crate::diagnostics::report(&text);
    }
}

/// As [`Write::write_all`], but waits for a descriptor that somebody made non-blocking (Node.js does that to the
/// terminal it shares with its children).
fn write_all(to: &mut dyn Write, mut bytes: &[u8]) -> io::Result<()> {
    let start = Instant::now();
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(error),
        }
    }
    to.flush()
}

impl Drop for Output {
    fn drop(&mut self) {
        self.flush();
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("waiting", &self.buffer.len()).finish_non_exhaustive()
    }
}
