//! The same work, asked for several times at once, is done once.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::{Digest, ImageError};

type Work<T> = BoxFuture<'static, Result<T, ImageError>>;
/// Content, blob and source.
type Key = (Digest, Digest, Digest);

/// What is being done. The work goes on as long as anybody waits for it, and its result, good or bad, is everybody's.
pub(super) struct Flights<T> {
    open: Mutex<HashMap<Key, WeakShared<Work<T>>>>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { open: Mutex::new(HashMap::new()) }
    }
}

impl<T> fmt::Debug for Flights<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flights")
    }
}

impl<T: Clone + Send + Sync + 'static> Flights<T> {
    /// Joins what is being done under this key, or begins it.
    pub(super) async fn join(
        &self,
        key: Key,
        work: impl Future<Output = Result<T, ImageError>> + Send + 'static,
    ) -> Result<T, ImageError> {
        let flight = self.enter(key, work.boxed());
        flight.await
    }

    fn enter(&self, key: Key, work: Work<T>) -> Shared<Work<T>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever was given up or has ended is forgotten here, so that no more are kept than there are.
        open.retain(|_, flight| flight.upgrade().is_some_and(|flight| flight.peek().is_none()));
        if let Some(flight) = open.get(&key).and_then(WeakShared::upgrade) {
            return flight;
        }
        let flight = work.shared();
        if let Some(weak) = flight.downgrade() {
            open.insert(key, weak);
        }
        flight
    }
}
