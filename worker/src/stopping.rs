//! When a process is asked to stop and when it is killed, the same in every executor.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::PollTimeout;
use nix::unistd::{pipe2, write};

use crate::Exit;

/// What to do to a process now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Send SIGTERM to all of it.
    Ask,
    /// Send SIGKILL to all of it.
    Kill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Asked { until: Instant },
    Killed,
}

/// Decides about stopping one process; the caller acts.
#[derive(Debug)]
pub(crate) struct Stopping {
    /// `None` for a timeout beyond what the clock can express.
    deadline: Option<Instant>,
    grace: Duration,
    phase: Phase,
    verdict: Option<Exit>,
}

impl Stopping {
    pub(crate) fn new(start: Instant, timeout: Duration, grace: Duration) -> Self {
        Self { deadline: start.checked_add(timeout), grace, phase: Phase::Running, verdict: None }
    }

    /// What to do at `now`, at most one thing of each kind over the life of a process.
    pub(crate) fn next(&mut self, now: Instant, cancelled: bool) -> Option<Stop> {
        match self.phase {
            Phase::Running => {
                let late = self.deadline.is_some_and(|deadline| now >= deadline);
                if !late && !cancelled {
                    return None;
                }
                self.verdict = Some(if cancelled { Exit::Cancelled } else { Exit::TimedOut });
                self.phase = Phase::Asked { until: now + self.grace };
                Some(Stop::Ask)
            }
            Phase::Asked { until } if now >= until => {
                self.phase = Phase::Killed;
                Some(Stop::Kill)
            }
            Phase::Asked { .. } | Phase::Killed => None,
        }
    }

    /// Ends the process without asking it, because it took too much.
    pub(crate) fn kill(&mut self, now: Instant) {
        self.verdict = self.verdict.or(Some(Exit::Signal(libc::SIGKILL)));
        if self.phase != Phase::Killed {
            self.phase = Phase::Asked { until: now };
        }
    }

    /// How long nothing needs to be decided.
    pub(crate) fn patience(&self, now: Instant) -> PollTimeout {
        let until = match self.phase {
            Phase::Running => self.deadline,
            Phase::Asked { until } => Some(until),
            Phase::Killed => None,
        };
        let Some(until) = until else {
            return PollTimeout::NONE;
        };
        // Rounded up, so that the wake-up is never before the time; longer sleeps than the type holds repeat.
        let left = until.saturating_duration_since(now).as_millis().saturating_add(1);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    }

    /// The same, for those who sleep, and look again after a minute where there is no limit. (`PollTimeout::as_millis` of nix
    /// 0.31 panics there.)
    pub(crate) fn nap(&self, now: Instant) -> Duration {
        const MINUTE: Duration = Duration::from_secs(60);
        u64::try_from(i32::from(self.patience(now))).map_or(MINUTE, Duration::from_millis).min(MINUTE)
    }

    /// From now on only a cancellation stops the process.
    pub(crate) fn suspend(&mut self) {
        if self.phase == Phase::Running {
            self.deadline = None;
        }
    }

    /// How the process counts as ended because it was stopped.
    pub(crate) fn verdict(&self) -> Option<Exit> {
        self.verdict
    }
}

/// The waiting side of a [`StopHandle`].
#[derive(Debug)]
pub(crate) struct StopSignal {
    end: OwnedFd,
    seen: Cell<bool>,
}

/// Wakes a thread that waits in poll, once. Dropping it counts as raising it: nobody waits for the process.
#[derive(Debug)]
pub(crate) struct StopHandle(OwnedFd);

/// A signal and the handle that raises it.
pub(crate) fn stop_signal() -> io::Result<(StopHandle, StopSignal)> {
    let (end, handle) = pipe2(nix::fcntl::OFlag::O_CLOEXEC | nix::fcntl::OFlag::O_NONBLOCK)?;
    let signal = StopSignal { end, seen: Cell::new(false) };
    Ok((StopHandle(handle), signal))
}

impl StopHandle {
    /// Asks for the process to be stopped.
    pub(crate) fn raise(&self) {
        // A full pipe was raised before.
        let _ = write(&self.0, &[1]);
    }
}

impl StopSignal {
    /// Whether it was raised.
    pub(crate) fn is_raised(&self) -> bool {
        if !self.seen.get() {
            let mut watched = [nix::poll::PollFd::new(self.as_fd(), nix::poll::PollFlags::POLLIN)];
            let ready = nix::poll::poll(&mut watched, PollTimeout::ZERO);
            self.seen.set(ready.is_ok_and(|count| count > 0));
        }
        self.seen.get()
    }

    /// Whether waiting for it has become pointless.
    pub(crate) fn was_seen(&self) -> bool {
        self.seen.get()
    }

    /// Stops waiting for it.
    pub(crate) fn lower(&self) {
        self.seen.set(true);
    }
}

impl AsFd for StopSignal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn asks_at_the_timeout_and_kills_after_the_grace() {
        let start = Instant::now();
        let mut stopping = Stopping::new(start, SECOND, SECOND);
        assert_eq!(stopping.next(start, false), None);
        assert_eq!(stopping.next(start + SECOND, false), Some(Stop::Ask));
        assert_eq!(stopping.next(start + SECOND, true), None);
        assert_eq!(stopping.next(start + SECOND * 2, true), Some(Stop::Kill));
        assert_eq!(stopping.next(start + SECOND * 9, true), None);
        assert_eq!(stopping.verdict(), Some(Exit::TimedOut));
    }

    #[test]
    fn what_takes_too_much_is_not_asked() {
        let start = Instant::now();
        let mut stopping = Stopping::new(start, SECOND, SECOND);
        stopping.kill(start);
        assert_eq!((stopping.next(start, false), stopping.next(start, true)), (Some(Stop::Kill), None));
        stopping.kill(start + SECOND);
        assert_eq!(stopping.next(start + SECOND, false), None);
        assert_eq!(stopping.verdict(), Some(Exit::Signal(libc::SIGKILL)));
    }

    #[test]
    fn a_cancellation_needs_no_timeout() {
        let start = Instant::now();
        let mut stopping = Stopping::new(start, Duration::MAX, SECOND);
        assert!(stopping.patience(start).is_none());
        assert_eq!(stopping.nap(start), SECOND * 60);
        assert_eq!(stopping.next(start, true), Some(Stop::Ask));
        assert_eq!(stopping.verdict(), Some(Exit::Cancelled));
        assert!(stopping.patience(start).as_millis().is_some_and(|left| left > 1000));
    }

    #[test]
    fn a_visitor_takes_the_time_that_it_takes() {
        let start = Instant::now();
        let mut stopping = Stopping::new(start, SECOND, SECOND);
        stopping.suspend();
        assert_eq!(stopping.next(start + SECOND * 9, false), None);
        assert_eq!(stopping.next(start + SECOND * 9, true), Some(Stop::Ask));
        stopping.suspend();
        assert_eq!(stopping.next(start + SECOND * 10, true), Some(Stop::Kill));
    }

    #[test]
    fn never_wakes_before_the_time() {
        let start = Instant::now();
        let stopping = Stopping::new(start, Duration::from_micros(1500), SECOND);
        assert_eq!(stopping.patience(start).as_millis(), Some(2));
        assert_eq!(stopping.patience(start + SECOND).as_millis(), Some(1));
        assert_eq!(stopping.nap(start), Duration::from_millis(2));
    }
}
