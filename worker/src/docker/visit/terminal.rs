//! A terminal here, for a program at a terminal of an engine's.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use bollard::container::LogOutput;
use futures_util::StreamExt as _;
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::AsyncWriteExt as _;
use tokio::io::unix::AsyncFd;

use super::super::exec::{Exec, Program};

/// How often it is looked whether the person made the window larger: nothing tells that to this side of a terminal.
const LOOK: Duration = Duration::from_millis(200);

/// As much as a person types or pastes at once.
const TYPED_BYTES: usize = 4096;

/// The side of a terminal at which programs sit.
pub(super) struct Terminal(AsyncFd<OwnedFd>);

impl Terminal {
    /// Makes one, and the master side of it.
    pub(super) fn open() -> io::Result<(Self, OwnedFd)> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = ioctl_tiocgptpeer(&master, flags)?;
        // What a terminal does with keys, the engine's does.
        let mut attributes = tcgetattr(&terminal)?;
        attributes.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &attributes)?;
        rustix::fs::fcntl_setfl(&terminal, OFlags::NONBLOCK)?;
        // SAFETY: the descriptor is its own, and stays the same one until that is dropped.
        let terminal = unsafe { AsyncFd::register(terminal) }?;
        Ok((Self(terminal), master))
    }

    /// Passes on what is typed and what is shown, until the program ends or nobody is at the terminal any more.
    pub(super) async fn serve(self, running: Exec) {
        let Exec { program, mut output, mut input } = running;
        let mut size = None;
        let mut look = tokio::time::interval(LOOK);
        let mut typed = [0; TYPED_BYTES];
        loop {
            tokio::select! {
                shown = output.next() => match shown {
                    Some(Ok(piece)) => {
                        if self.show(&piece).await.is_err() {
                            return;
                        }
                    }
                    Some(Err(_)) | None => return,
                },
                count = self.read(&mut typed) => match count {
                    Ok(count @ 1..) => {
                        let typed = typed.get(..count).unwrap_or_default();
                        if input.write_all(typed).await.is_err() || input.flush().await.is_err() {
                            return;
                        }
                    }
                    Ok(0) | Err(_) => return,
                },
                _ = look.tick() => self.fit(&program, &mut size).await,
            }
        }
    }

    async fn fit(&self, program: &Program, known: &mut Option<Winsize>) {
        let Ok(size) = tcgetwinsize(self.0.get_ref()) else { return };
        let is_same = known.is_some_and(|known| (known.ws_row, known.ws_col) == (size.ws_row, size.ws_col));
        if !is_same && size.ws_row > 0 && size.ws_col > 0 {
            program.fit(size.ws_row, size.ws_col).await;
            *known = Some(size);
        }
    }

    async fn read(&self, to: &mut [u8]) -> io::Result<usize> {
        let read = |terminal: &OwnedFd| Ok(rustix::io::read(terminal.as_fd(), &mut *to)?);
        self.0.async_io(tokio::io::Interest::READABLE, read).await
    }

    async fn show(&self, piece: &LogOutput) -> io::Result<()> {
        let mut bytes = piece.as_ref();
        while !bytes.is_empty() {
            let write = |terminal: &OwnedFd| Ok(rustix::io::write(terminal.as_fd(), bytes)?);
            let count = self.0.async_io(tokio::io::Interest::WRITABLE, write).await?;
            bytes = bytes.get(count..).unwrap_or_default();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[tokio::test]
    async fn keys_come_as_they_are_typed() {
        let (terminal, master) = Terminal::open().unwrap();
        let mut master = std::fs::File::from(master);
        // Neither Ctrl-C nor a line that is not ended means anything here.
        master.write_all(b"\x03a\r").unwrap();
        let mut typed = [0; 16];
        let count = terminal.read(&mut typed).await.unwrap();
        assert_eq!(&typed[..count], b"\x03a\r");
        terminal.show(&LogOutput::Console { message: "x\r\n".into() }).await.unwrap();
        let mut shown = [0; 3];
        master.read_exact(&mut shown).unwrap();
        assert_eq!(&shown, b"x\r\n");
        drop(master);
        assert!(matches!(terminal.read(&mut typed).await, Ok(0) | Err(_)));
    }
}
