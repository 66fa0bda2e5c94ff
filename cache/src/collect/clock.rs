//! How much time has passed on this machine.

use std::fmt::Debug;
use std::time::Duration;

/// A clock that nobody sets, and that goes on while the machine sleeps.
pub(crate) trait Clock: Debug + Send + Sync {
    /// Since some instant.
    fn now(&self) -> Duration;
}

/// That of Linux: `CLOCK_MONOTONIC` stands still while a laptop is closed, and what it knew before would seem fresh.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BootTime;

impl Clock for BootTime {
    fn now(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
    }
}
