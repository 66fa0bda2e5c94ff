//! Looking after a worker's disk while it works.

use std::path::Path;
use std::time::Duration;

use cullet_cache::{LiveRun, LocalCache, StoreError};
use cullet_worker::space;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Between two looks at the free space: often enough that a full disk fails few steps.
const LOOK: Duration = Duration::from_secs(1);

/// How many looks in a row find a full disk before the worker leaves: a step that fills it is gone again sooner.
const PATIENCE: u32 = 3;

/// Looks between two collections of a cache that has grown past its bound: one a minute.
const COLLECT: u32 = 60;

/// Looks until the cache may forget what was used: ten minutes, and up to twenty. Inputs are linked into the place
/// where their step runs, and outputs are published right after they are collected, so nothing needs longer.
const PROTECT: u32 = 600;

/// How upkeep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Somebody told the worker to end.
    Told,
    /// The disk is full, and there is nothing left to evict.
    Full,
}

/// The cache of a worker, and what keeps parts of it from being evicted.
pub(super) struct Upkeep {
    cache: LocalCache,
    now: LiveRun,
    before: Option<LiveRun>,
}

impl Upkeep {
    /// Protects what is used from now on.
    pub(super) fn new(cache: LocalCache) -> Result<Self, StoreError> {
        let now = cache.live_run()?;
        Ok(Self { cache, now, before: None })
    }

    /// Keeps the cache within its bound, until the worker ends. A worker without space drains itself: it would only
    /// fail what others can do.
    pub(super) async fn keep(mut self, drain: CancellationToken) -> End {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut full = 0;
        for look in 1_u32.. {
            tokio::select! {
                _ = looks.tick() => {}
                () = drain.cancelled() => return End::Told,
            }
            full = if self.is_full().await { full + 1 } else { 0 };
            if full >= PATIENCE {
                let dir = self.cache.disk.dir().display();
                tracing::error!(%dir, "the disk is full and nothing can be evicted: takes no more steps");
                drain.cancel();
                return End::Full;
            }
            if look.is_multiple_of(COLLECT) {
                self.collect().await;
            }
            if look.is_multiple_of(PROTECT) {
                self.protect();
            }
        }
        End::Told
    }

    /// Looks, and evicts where that might help.
    async fn is_full(&self) -> bool {
        let cache = self.cache.clone();
        let looked = spawn_blocking(move || {
            let dir = cache.disk.dir();
            space::is_full(dir) && !make_room(&cache, dir)
        });
        looked.await.unwrap_or(false)
    }

    async fn collect(&self) {
        let cache = self.cache.clone();
        match spawn_blocking(move || cache.maybe_gc()).await {
            Ok(Ok(Some(report))) => tracing::debug!(?report, "collected the cache"),
            Ok(Err(error)) => tracing::warn!(%error, "the cache could not be brought below its bound"),
            Ok(Ok(None)) | Err(_) => {}
        }
    }

    /// Lets go of what was used last before the time before.
    fn protect(&mut self) {
        match self.cache.live_run() {
            Ok(next) => self.before = Some(std::mem::replace(&mut self.now, next)),
            // The old one stays, and protects more.
            Err(error) => tracing::warn!(%error, "what is used cannot be announced anew"),
        }
    }
}

/// Evicts a tenth of the cache; whether there is space then.
fn make_room(cache: &LocalCache, dir: &Path) -> bool {
    let held = cache.gc(u64::MAX).map(|report| report.bytes_before);
    match held.and_then(|held| cache.gc(held - held / 10)) {
        Ok(report) => {
            tracing::warn!(blobs = report.evicted_blobs, "the disk is full: evicted from the cache");
            !space::is_full(dir)
        }
        Err(error) => {
            tracing::warn!(%error, "the disk is full and the cache cannot be collected");
            false
        }
    }
}
