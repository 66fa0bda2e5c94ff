//! A person's terminal, lent to a program in a step.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// What waits for a program that does not read: as much as a terminal takes of a paste.
const MOST_WAITING: usize = 64 << 10;

/// How often the window is asked for its size.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// End of file, as a person types it.
const END_OF_FILE: u8 = 4;

/// How the terminal was before it was lent; there is one.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Whether there is a terminal to lend: one to type at and to read from.
pub fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Gives the terminal back as it was, whoever has it. Does nothing where nobody does.
pub fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // Nothing better can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &before);
    }
}

/// Connects this process's terminal with the program that has the other side of `master`, until that is over or either
/// is gone. Blocks.
pub fn lend(master: OwnedFd) {
    if let Ok(before) = tcgetattr(io::stdin()) {
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &raw);
    }
    // Either side may be gone at any moment, which ends the visit and is nobody's fault.
    let _ = pass_on(&mut File::from(master), io::stdin().as_fd());
    restore();
}

/// Until `person`, the terminal that is lent, is gone: who is meant to hear of that by SIGHUP may have ignored it, as `nohup`
/// does, and what runs on the other side need not read.
fn pass_on(master: &mut File, person: BorrowedFd<'_>) -> io::Result<()> {
    // A program that does not read must not keep us from showing what it writes.
    fcntl_setfl(&*master, OFlags::NONBLOCK)?;
    let (mut typed, mut reading, mut window) = (Vec::new(), true, None);
    let mut buffer = vec![0; 16 << 10];
    loop {
        resize(master.as_fd(), &mut window);
        let mut wanted = PollFlags::IN;
        wanted.set(PollFlags::OUT, !typed.is_empty());
        let typing = reading && typed.len() < MOST_WAITING;
        let typed_at = if typing { PollFlags::IN } else { PollFlags::empty() };
        let mut watched = [PollFd::new(master, wanted), PollFd::from_borrowed_fd(person, typed_at)];
        match poll(&mut watched, Some(&LOOK)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [there, here] = watched.map(|watched| watched.revents());
        if here.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return Ok(());
        }
        let over = PollFlags::IN | PollFlags::HUP | PollFlags::ERR;
        if there.intersects(over) && !show(master, &mut buffer)? {
            return Ok(());
        }
        if there.contains(PollFlags::OUT) {
            let written = temporary(master.write(&typed))?.unwrap_or(0);
            typed.drain(..written);
        }
        if typing && !here.is_empty() {
            let count = rustix::io::read(person, &mut buffer[..])?;
            typed.extend_from_slice(&buffer[..count]);
            if count == 0 {
                reading = false;
                typed.push(END_OF_FILE);
            }
        }
    }
}

/// Whether there may be more.
fn show(master: &mut File, buffer: &mut [u8]) -> io::Result<bool> {
    let Some(count) = temporary(master.read(buffer))? else { return Ok(true) };
    let mut out = io::stdout().lock();
    out.write_all(&buffer[..count])?;
    out.flush()?;
    Ok(count > 0)
}

fn temporary(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The program's window is as large as the person's.
fn resize(master: BorrowedFd<'_>, known: &mut Option<(u16, u16)>) {
    let Ok(size) = tcgetwinsize(io::stdout()) else { return };
    let Winsize { ws_row, ws_col, .. } = size;
    if known.replace((ws_row, ws_col)) != Some((ws_row, ws_col)) {
        let _ = tcsetwinsize(master, size);
    }
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

    use super::*;

    /// A terminal: its master side, and the one at which programs sit.
    fn terminal() -> (OwnedFd, OwnedFd) {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let seat = ioctl_tiocgptpeer(&master, flags).unwrap();
        (master, seat)
    }

    #[test]
    fn a_terminal_that_goes_away_is_not_lent_any_longer() {
        let ((window, person), (master, program)) = (terminal(), terminal());
        let (told, over) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _ = pass_on(&mut File::from(master), person.as_fd());
            told.send(()).unwrap();
        });
        let brief = std::time::Duration::from_millis(300);
        assert!(over.recv_timeout(brief).is_err(), "both are there");
        drop(window);
        over.recv_timeout(std::time::Duration::from_secs(60)).expect("the program neither reads nor ends");
        drop(program);
    }
}
