//! Attempts whose end is being recorded. A worker whose connection breaks tells everything again on the next one, while what it
//! said on the first may still be on its way into the log.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::attempts::AttemptKey;

/// As many as there are reports on their way.
#[derive(Debug, Default)]
pub(super) struct Reporting {
    attempts: Mutex<BTreeSet<AttemptKey>>,
    changed: Notify,
}

/// Nobody else records the end of this attempt while this is held.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    reporting: &'a Reporting,
    key: AttemptKey,
}

impl Reporting {
    /// Waits until nobody records the end of this attempt. Whoever had to wait finds it recorded, unless that failed.
    pub(super) async fn claim(&self, key: AttemptKey) -> Claim<'_> {
        loop {
            // What changes from here on is not missed.
            let changed = self.changed.notified();
            if self.lock().insert(key) {
                return Claim { reporting: self, key };
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<AttemptKey>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.reporting.lock().remove(&self.key);
        self.reporting.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use cullet_core::{RunId, StepId};
    use futures_util::FutureExt as _;

    use super::*;

    fn attempt(attempt: u32) -> AttemptKey {
        AttemptKey { id: StepId { run: RunId(1), step: 0 }, attempt, epoch: 1 }
    }

    #[tokio::test]
    async fn one_at_a_time_records_an_attempt_and_others_are_in_nobodys_way() {
        let reporting = Reporting::default();
        let first = reporting.claim(attempt(1)).await;
        let mut second = Box::pin(reporting.claim(attempt(1)));
        assert!((&mut second).now_or_never().is_none());
        drop(reporting.claim(attempt(2)).now_or_never().expect("it is another attempt"));
        assert!((&mut second).now_or_never().is_none());
        drop(first);
        let second = second.await;
        assert!(reporting.claim(attempt(1)).now_or_never().is_none());
        drop(second);
        assert!(reporting.lock().is_empty());
    }
}
