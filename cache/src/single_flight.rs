//! Many who want the same thing at the same time share one attempt to get it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cullet_digest::Digest;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, WeakShared};

/// What is under way, by digest. An attempt goes on while anybody waits for it and is dropped with the last one.
pub(crate) struct SingleFlight<T: Clone> {
    flights: Mutex<HashMap<Digest, WeakShared<BoxFuture<'static, T>>>>,
}

impl<T: Clone> Default for SingleFlight<T> {
    fn default() -> Self {
        Self { flights: Mutex::default() }
    }
}

impl<T: Clone> fmt::Debug for SingleFlight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").field("flights", &self.lock().len()).finish()
    }
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// Joins the attempt for `digest` that is under way, or starts the one that `attempt` makes.
    pub(crate) async fn run(&self, digest: &Digest, attempt: impl FnOnce() -> BoxFuture<'static, T>) -> T {
        // Dropped after the flight, so that the last one out finds it gone.
        let _landing = Landing { of: self, digest };
        let flight = {
            let mut flights = self.lock();
            match flights.get(digest).and_then(WeakShared::upgrade) {
                Some(flight) => flight,
                None => {
                    let flight = attempt().shared();
                    if let Some(weak) = flight.downgrade() {
                        flights.insert(*digest, weak);
                    }
                    flight
                }
            }
        };
        flight.await
    }
}

impl<T: Clone> SingleFlight<T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, WeakShared<BoxFuture<'static, T>>>> {
        // Every change is one insertion or one removal.
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Landing<'a, T: Clone> {
    of: &'a SingleFlight<T>,
    digest: &'a Digest,
}

impl<T: Clone> Drop for Landing<'_, T> {
    fn drop(&mut self) {
        let mut flights = self.of.lock();
        let over = |flight: &WeakShared<BoxFuture<'static, T>>| {
            flight.upgrade().is_none_or(|flight| flight.peek().is_some())
        };
        if flights.get(self.digest).is_some_and(over) {
            flights.remove(self.digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use cullet_digest::DigestFunction;

    use super::*;

    fn attempt(count: &Arc<AtomicU32>) -> BoxFuture<'static, u32> {
        let count = Arc::clone(count);
        async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            count.fetch_add(1, Ordering::Relaxed) + 1
        }
        .boxed()
    }

    #[tokio::test(start_paused = true)]
    async fn those_at_the_same_time_share_and_later_ones_do_not() {
        let (flights, count) = (SingleFlight::default(), Arc::new(AtomicU32::new(0)));
        let [one, other] = [b"one", b"two"].map(|text| DigestFunction::Blake3.digest(text));
        let run = |digest| flights.run(digest, || attempt(&count));
        let (a, b, c) = tokio::join!(run(&one), run(&one), run(&other));
        assert_eq!((a, a == c, count.load(Ordering::Relaxed)), (b, false, 2));
        assert_eq!(run(&one).await, 3);
        assert!(flights.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_goes_away_takes_nothing_from_the_others() {
        let (flights, count) = (SingleFlight::default(), Arc::new(AtomicU32::new(0)));
        let digest = DigestFunction::Blake3.digest(b"one");
        let run = || flights.run(&digest, || attempt(&count));
        let gone = async { tokio::time::timeout(Duration::from_millis(1), run()).await.is_err() };
        assert_eq!(tokio::join!(gone, run()), (true, 1));
        let dropped = tokio::time::timeout(Duration::from_millis(1), run()).await;
        assert!(dropped.is_err() && flights.lock().is_empty(), "nobody waits any more");
        assert_eq!(run().await, 2);
    }
}
