//! What time it is.

use std::fmt::Debug;

use cullet_core::TimeMs;
use tokio::time::Instant;

/// The wall clock of a machine. Only a leader asks it, once, when it begins to lead.
pub trait Clock: Debug + Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> TimeMs;
}

/// The operating system's.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> TimeMs {
        crate::session::now()
    }
}

/// The time of one leader's term. It goes on from what the log has seen and never jumps, whatever happens to the wall
/// clock meanwhile: nothing expires because somebody set a clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct TermClock {
    base: TimeMs,
    since: Instant,
}

impl TermClock {
    pub(super) fn new(clock: &dyn Clock, latest: TimeMs) -> Self {
        Self { base: clock.now_ms().max(latest), since: Instant::now() }
    }

    pub(super) fn now(&self) -> TimeMs {
        self.base.saturating_add(self.since.elapsed().as_millis() as u64)
    }
}
