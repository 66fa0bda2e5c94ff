//! How often a whole place is asked again.

use std::sync::{Mutex, PoisonError};

/// Retries that are left, shared by all operations of a place: a place that fails everything is then asked hardly more
/// often than one that works, and what is wrong with it is not made worse.
#[derive(Debug)]
pub(super) struct Budget(Mutex<f64>);

/// Retries at most: half of what is in flight at once may fail together and be tried again.
const MOST: f64 = 32.0;

/// What each success adds: in the long run one of eleven requests is a retry.
const SHARE: f64 = 0.1;

impl Default for Budget {
    fn default() -> Self {
        Self(Mutex::new(MOST))
    }
}

impl Budget {
    /// The place did what it was asked, or gave an answer that will not change.
    pub(super) fn earn(&self) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *left = (*left + SHARE).min(MOST);
    }

    /// Whether there may be one more retry, which is then taken.
    pub(super) fn take(&self) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let enough = *left >= 1.0;
        if enough {
            *left -= 1.0;
        }
        enough
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
