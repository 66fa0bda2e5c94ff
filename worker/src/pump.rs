//! Moves what a process prints from its two pipes to a [`LogSink`].

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use crate::{LogSink, Stream};

/// As much as a pipe holds by default, and the most a [`LogSink`] takes at once.
const CHUNK_BYTES: usize = 64 << 10;

/// The reading ends of a process's standard output and standard error.
pub(crate) struct Pump {
    ends: [(Stream, Option<File>); 2],
    buffer: Vec<u8>,
}

impl Pump {
    /// Two new pipes: their reading ends, and the writing ends for standard output and standard error.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd, OwnedFd)> {
        let (stdout, for_stdout) = pipe2(OFlag::O_CLOEXEC)?;
        let (stderr, for_stderr) = pipe2(OFlag::O_CLOEXEC)?;
        // Only the reading ends: programs do not expect standard output to be non-blocking.
        for end in [&stdout, &stderr] {
            fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let ends = [(Stream::Stdout, Some(File::from(stdout))), (Stream::Stderr, Some(File::from(stderr)))];
        let pump = Self { ends, buffer: vec![0; CHUNK_BYTES] };
        Ok((pump, for_stdout, for_stderr))
    }

    /// The ends that may still bring something.
    pub(crate) fn open_ends(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ends.iter().filter_map(|(_, end)| end.as_ref().map(AsFd::as_fd))
    }

    /// Moves at most one chunk of each stream, without waiting.
    pub(crate) fn read(&mut self, log: &mut dyn LogSink) -> io::Result<bool> {
        let mut moved = false;
        for (stream, slot) in &mut self.ends {
            let Some(end) = slot else { continue };
            match end.read(&mut self.buffer) {
                Ok(0) => *slot = None,
                Ok(count) => {
                    log.write(*stream, &self.buffer[..count]);
                    moved = true;
                }
                Err(error) if is_temporary(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    }

    /// Moves everything the pipes hold now, and nothing that somebody writes meanwhile: that may be without end.
    pub(crate) fn drain(&mut self, log: &mut dyn LogSink) -> io::Result<()> {
        for (stream, slot) in &mut self.ends {
            let Some(end) = slot else { continue };
            let held = rustix::io::ioctl_fionread(&*end)?;
            let mut rest = end.take(held);
            loop {
                match rest.read(&mut self.buffer) {
                    Ok(0) => break,
                    Ok(count) => log.write(*stream, &self.buffer[..count]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // Somebody else has read from it.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Default)]
    struct Heard(Vec<u8>, Vec<u8>);

    impl LogSink for Heard {
        fn write(&mut self, stream: Stream, bytes: &[u8]) {
            match stream {
                Stream::Stdout => self.0.extend_from_slice(bytes),
                Stream::Stderr => self.1.extend_from_slice(bytes),
            }
        }
    }

    #[test]
    fn what_pipes_hold_is_read_and_whoever_goes_on_writing_is_not_waited_for() {
        let (mut pump, stdout, stderr) = Pump::new().unwrap();
        let (mut stdout, mut stderr) = (File::from(stdout), File::from(stderr));
        stderr.write_all(&[b'e'; 60_000]).unwrap();
        stdout.write_all(b"first ").unwrap();
        let mut heard = Heard::default();
        pump.drain(&mut heard).unwrap();
        assert_eq!((&heard.0[..], heard.1.len()), (&b"first "[..], 60_000));
        static STOP: AtomicBool = AtomicBool::new(false);
        let writing = std::thread::spawn(move || {
            while !STOP.load(Ordering::Relaxed) {
                if stdout.write_all(&[b'y'; 4096]).is_err() {
                    break;
                }
            }
        });
        for _ in 0..50 {
            pump.drain(&mut heard).unwrap();
        }
        STOP.store(true, Ordering::Relaxed);
        drop(pump);
        writing.join().unwrap();
        assert!(heard.0.len() <= 6 + 50 * (1 << 20), "{}", heard.0.len());
    }
}
