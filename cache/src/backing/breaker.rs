//! Trouble with a store that a run can do without: waited for within bounds, told once, and not asked for again.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::guarded::LOOKUP;
use crate::StoreError;

/// Who hears of the first trouble; of any more nobody does.
pub type TellTrouble = Arc<dyn Fn(&StoreError) + Send + Sync>;

/// Failures in a row after which a store is not asked any more. Whoever answers at all has been asked again by then for each
/// of them, so that this is a store that refuses, and no passing trouble.
const MOST: u32 = 3;

/// From how long on a lookup is a slow one.
const SLOW: Duration = Duration::from_secs(1);

/// How long all lookups may be slow, those at the same time counted once: a chain of steps would wait for each of them.
const MOST_SLOW: Duration = Duration::from_secs(10);

/// Stands before a store, in one direction.
pub(super) struct Breaker {
    place: String,
    failures: AtomicU32,
    broken: AtomicBool,
    first: Mutex<Option<StoreError>>,
    /// When the first of the lookups began that have been slow since.
    slow_since: Mutex<Option<Instant>>,
    tell: TellTrouble,
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("place", &self.place)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// Why a store was not asked.
#[derive(Debug, thiserror::Error)]
#[error("it gave trouble before")]
struct GivenUp;

impl Breaker {
    pub(super) fn new(place: &str, tell: TellTrouble) -> Self {
        let (failures, broken) = Default::default();
        let (first, slow_since) = Default::default();
        Self { place: place.to_owned(), failures, broken, first, slow_since, tell }
    }

    /// Whether the store is not asked any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// The first trouble there was.
    pub(super) fn trouble(&self) -> Option<StoreError> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the store, and waits so long for an answer.
    pub(super) async fn ask<T>(
        &self,
        patience: Duration,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        if self.is_broken() {
            return Err(StoreError::remote("ask", &self.place, GivenUp));
        }
        let begun = Instant::now();
        let late = |_| Err(StoreError::deadline(&self.place, patience));
        let answer = timeout(patience, question).await.unwrap_or_else(late);
        match &answer {
            Err(error) if is_trouble(error) => self.failed(error),
            _ => {
                self.failures.store(0, Ordering::Relaxed);
                if patience <= LOOKUP {
                    self.answered(begun);
                }
            }
        }
        answer
    }

    /// Takes note of how long a lookup took.
    fn answered(&self, begun: Instant) {
        let is_bad = {
            let mut since = self.slow_since.lock().unwrap_or_else(PoisonError::into_inner);
            if begun.elapsed() < SLOW {
                *since = None;
            }
            begun.elapsed() >= SLOW && since.get_or_insert(begun).elapsed() >= MOST_SLOW
        };
        if is_bad {
            self.break_by(&StoreError::deadline(&self.place, SLOW));
        }
    }

    /// Takes note of trouble. Who has let a deadline pass is not waited for again: it would be as long each time.
    pub(super) fn failed(&self, error: &StoreError) {
        if self.is_broken() {
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= MOST || matches!(error, StoreError::Deadline { .. }) {
            self.broken.store(true, Ordering::Relaxed);
        }
        self.tell_once(error);
    }

    /// Does not ask the store at all.
    pub(super) fn break_by(&self, error: &StoreError) {
        self.broken.store(true, Ordering::Relaxed);
        self.tell_once(error);
    }

    /// Tells of trouble that says nothing about the next question.
    pub(super) fn tell_once(&self, error: &StoreError) {
        let is_first = {
            let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            let is_first = first.is_none();
            first.get_or_insert_with(|| error.clone());
            is_first
        };
        if is_first {
            (self.tell)(error);
        }
    }
}

/// Whether it is the store's fault, and not its answer.
pub(super) fn is_trouble(error: &StoreError) -> bool {
    use StoreError::{Mismatch, NotFound, TooLarge};
    !matches!(error, NotFound { .. } | Mismatch { .. } | TooLarge { .. })
}
