//! Mistakes that the simulation has to find in what is decided. Without the feature `planted-bugs` none is ever made, and asking
//! for one costs nothing.

#[cfg(feature = "planted-bugs")]
use std::sync::atomic::{AtomicU8, Ordering};

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// Whatever a worker reports of a running step counts.
    IgnoreEpoch,
    /// A step that acts on the outside world is started again when its worker is lost.
    RestartEffects,
    /// Some steps never give back what they took of their worker.
    LeakCapacity,
    /// What needs a step starts when that has failed, too.
    StartEarly,
    /// A cancelled run stops, but does not count as cancelled.
    LoseCancel,
}

/// One more than the number of the mistake that is made; 0 for none.
#[cfg(feature = "planted-bugs")]
static PLANTED: AtomicU8 = AtomicU8::new(0);

/// From here on this mistake is made, everywhere in this process.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Bug) {
    PLANTED.store(bug as u8 + 1, Ordering::Relaxed);
}

/// Whether this mistake is to be made.
#[cfg(feature = "planted-bugs")]
pub(crate) fn is(bug: Bug) -> bool {
    PLANTED.load(Ordering::Relaxed) == bug as u8 + 1
}

/// Whether this mistake is to be made: never.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn is(_: Bug) -> bool {
    false
}
