//! When an entry was last of use, and when that has to be written down.
//!
//! The rule that protects live runs: the collector evicts an entry only if its atime lies before
//! `start - granularity` of every live lease (see [`super::lease`]). So whoever uses an entry on behalf of a run
//! must leave it with an atime that is not before that. An entry whose atime is recent enough is left alone:
//! running a warm pipeline again writes nothing.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{Stat, Timespec};

/// The usual granularity in nanoseconds: ten minutes. Within this time a hot entry is written at most once, and
/// order within it does not matter to an LRU cache that holds days of work.
pub(super) const GRANULARITY_NS: i64 = 600_000_000_000;

/// What this process must keep fresh.
#[derive(Debug)]
pub(super) struct Recency {
    /// Start of the youngest lease this process took.
    newest_start_ns: AtomicI64,
    /// Oldest atime that protects an entry for every lease this process took.
    floor_ns: AtomicI64,
}

impl Recency {
    pub(super) fn new() -> Self {
        Self { newest_start_ns: AtomicI64::new(i64::MIN), floor_ns: AtomicI64::new(i64::MIN) }
    }

    /// The time to write. Never before the start of a lease of ours, whatever the wall clock does meanwhile.
    pub(super) fn now_ns(&self) -> i64 {
        wall_clock_ns().max(self.newest_start_ns.load(Ordering::Relaxed))
    }

    /// A lease was taken.
    pub(super) fn raise(&self, start_ns: i64, granularity_ns: i64) {
        self.newest_start_ns.fetch_max(start_ns, Ordering::SeqCst);
        self.floor_ns.fetch_max(start_ns - granularity_ns, Ordering::SeqCst);
    }

    /// The atime to set on an entry that is being used, if one has to be set.
    pub(super) fn due(&self, stat: &Stat) -> Option<i64> {
        let now = self.now_ns();
        let bound = self.floor_ns.load(Ordering::Relaxed).max(now - GRANULARITY_NS);
        (atime_ns(stat) < bound).then_some(now)
    }
}

/// Nanoseconds since the epoch.
#[allow(clippy::unnecessary_cast, reason = "the fields of stat differ in type between platforms")]
pub(super) fn atime_ns(stat: &Stat) -> i64 {
    (stat.st_atime as i64).saturating_mul(1_000_000_000).saturating_add(stat.st_atime_nsec as i64)
}

/// Nanoseconds since the epoch; good until the year 2262.
pub(super) fn wall_clock_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX))
}

pub(super) fn timespec(ns: i64) -> Timespec {
    Timespec { tv_sec: ns.div_euclid(1_000_000_000), tv_nsec: ns.rem_euclid(1_000_000_000) }
}
