//! Results on their way to the shared store, beside the run that made them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cullet_digest::Digest;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::breaker::Breaker;
use super::guarded::Guarded;
use super::queue::Queue;
use crate::{ActionCache, DiskActionCache, StoreError, Tiers};

/// Results that are sent at the same time; each sends many blobs at once.
const AT_ONCE: usize = 4;

/// Results that wait in memory, a kilobyte each at most. What is more waits on the disk, for a later run.
const MOST_WAITING: usize = 20_000;

/// Publishes results: their blobs first, then the record that names them. Clones share everything.
#[derive(Debug, Clone)]
pub(super) struct Publisher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    queue: Queue,
    tiers: Tiers,
    disk: Arc<DiskActionCache>,
    shared: Guarded<dyn ActionCache>,
    writes: Arc<Breaker>,
    permits: Semaphore,
    waiting: watch::Sender<usize>,
    /// What this process has begun to send, or has left, whatever came of it.
    tried: Mutex<HashSet<Digest>>,
    /// Left for a later run.
    left: AtomicUsize,
    /// Lost before they could be sent.
    gone: AtomicUsize,
    runtime: Handle,
}

/// How the publishing of results ended.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    /// Results that are not published and will be by a later run.
    pub left: usize,
    /// Results that were evicted before they could be published.
    pub gone: usize,
    /// The first reason for the former, if there is one but a lack of time.
    pub why: Option<StoreError>,
}

impl Publisher {
    /// Begins with what earlier processes left.
    pub(super) fn start(
        queue: Queue,
        tiers: Tiers,
        disk: Arc<DiskActionCache>,
        (shared, writes): (Guarded<dyn ActionCache>, Arc<Breaker>),
        runtime: Handle,
    ) -> Self {
        let (left, gone, tried) = Default::default();
        let (permits, waiting) = (Semaphore::new(AT_ONCE), watch::Sender::new(0));
        let earlier = queue.all();
        let this = Self(Arc::new(Inner {
            queue,
            tiers,
            disk,
            shared,
            writes,
            permits,
            waiting,
            tried,
            left,
            gone,
            runtime,
        }));
        earlier.into_iter().for_each(|action| this.send(action));
        this
    }

    /// Has the result of an action published. It is written down that this is to be done: whatever happens to this process,
    /// a later one does it.
    pub(super) fn publish(&self, action: &Digest) {
        if let Err(error) = self.0.queue.add(action) {
            tracing::debug!(action = %action.short(), %error, "a result to be published is not written down");
        }
        self.send(*action);
    }

    /// The same for a result that was here before, and that an earlier process may have left to this one.
    pub(super) fn publish_once(&self, action: &Digest) {
        if !self.0.tried.lock().unwrap_or_else(PoisonError::into_inner).contains(action) {
            self.publish(action);
        }
    }

    fn send(&self, action: Digest) {
        self.0.tried.lock().unwrap_or_else(PoisonError::into_inner).insert(action);
        if *self.0.waiting.borrow() >= MOST_WAITING {
            self.0.left.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.0.waiting.send_modify(|waiting| *waiting += 1);
        let inner = Arc::clone(&self.0);
        self.0.runtime.spawn(async move {
            match inner.sent(&action).await {
                Ok(()) => inner.queue.remove(&action),
                Err(StoreError::NotFound { .. }) => {
                    inner.queue.remove(&action);
                    inner.gone.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => {
                    inner.writes.tell_once(&error);
                    inner.left.fetch_add(1, Ordering::Relaxed);
                }
            }
            inner.waiting.send_modify(|waiting| *waiting -= 1);
        });
    }

    /// Waits so long at most until everything is published.
    pub(super) async fn settle(&self, patience: Duration) -> Settled {
        let mut waiting = self.0.waiting.subscribe();
        // The sender is ours, so that the only other end is that of our patience.
        drop(timeout(patience, waiting.wait_for(|waiting| *waiting == 0)).await);
        let waiting = *self.0.waiting.borrow();
        Settled {
            left: self.0.left.load(Ordering::Relaxed) + waiting,
            gone: self.0.gone.load(Ordering::Relaxed),
            why: self.0.writes.trouble(),
        }
    }

    /// Results that are not published yet.
    pub(super) fn waiting(&self) -> usize {
        *self.0.waiting.borrow()
    }
}

impl Inner {
    /// Publishes a result.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] where it, or something that it names, is no longer here.
    async fn sent(&self, action: &Digest) -> Result<(), StoreError> {
        // Never closed, so the permit always comes.
        let _permit = self.permits.acquire().await;
        let result = self.disk.get(action).await?.ok_or(StoreError::NotFound { digest: *action })?;
        self.tiers.upload(&result).await?;
        self.shared.put(action, &result).await
    }
}
