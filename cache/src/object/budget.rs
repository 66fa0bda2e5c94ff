//! How often a whole place is asked again, and when.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Retries that are left, shared by all operations of a place: a place that fails everything is then asked hardly more
/// often than one that works, and what is wrong with it is not made worse.
#[derive(Debug)]
pub(super) struct Budget(Mutex<Left>);

#[derive(Debug)]
struct Left {
    retries: f64,
    /// Until when the place wants to be asked nothing, where it has said so.
    quiet_until: Option<Instant>,
}

/// Retries at most: half of what is in flight at once may fail together and be tried again.
const MOST: f64 = 32.0;

/// What each success adds: in the long run one of eleven requests is a retry.
const SHARE: f64 = 0.1;

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(Left { retries: MOST, quiet_until: None }))
    }
}

impl Budget {
    /// The place did what it was asked, or gave an answer that will not change.
    pub(super) fn earn(&self) {
        let mut left = self.lock();
        left.retries = (left.retries + SHARE).min(MOST);
    }

    /// Whether there may be one more retry, which is then taken.
    pub(super) fn take(&self) -> bool {
        let mut left = self.lock();
        let enough = left.retries >= 1.0;
        if enough {
            left.retries -= 1.0;
        }
        enough
    }

    /// The place says after how long it may be asked again (`Retry-After`, RFC 9110 section 10.2.3): that holds for everybody.
    pub(super) fn hold_back(&self, after: Duration) {
        let until = Instant::now() + after;
        let mut left = self.lock();
        left.quiet_until = left.quiet_until.max(Some(until));
    }

    /// Until when nothing is to be asked.
    pub(super) fn quiet_until(&self) -> Option<Instant> {
        let mut left = self.lock();
        left.quiet_until.take_if(|until| *until <= Instant::now());
        left.quiet_until
    }

    fn lock(&self) -> MutexGuard<'_, Left> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_bounded_whatever_fails_and_earned_by_successes() {
        let budget = Budget::default();
        let taken = (0..1000).filter(|_| budget.take()).count();
        assert_eq!(taken, 32);
        for _ in 0..11 {
            budget.earn();
        }
        assert!(budget.take() && !budget.take());
        (0..10_000).for_each(|_| budget.earn());
        assert_eq!((0..1000).filter(|_| budget.take()).count(), 32, "what is saved up has a bound, too");
    }
}
