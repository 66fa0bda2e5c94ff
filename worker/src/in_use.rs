//! What keeps the files of attempts in the cache while something is done with them there.
//!
//! An attempt needs the cache twice: while its input root is made, and from when its outputs are collected until others have
//! them. In between the step has links of its own. One that runs for hours must not keep for so long what all others use
//! meanwhile, and neither must the clock: a worker may use more than its cache holds within any number of minutes.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use cullet_cache::disk::DiskStore;
use cullet_cache::{LiveRun, StoreError};

/// How long attempts that begin to use the cache share the lease of the first. Each new lease makes inputs be marked as used
/// once more, and many small steps begin at the same time; even a fast disk takes but a small part of a cache meanwhile.
const SHARED: Duration = Duration::from_millis(100);

/// The leases of a worker in its cache. Clones share everything. Without a cache, there are none: somebody else keeps what
/// attempts use.
#[derive(Debug, Clone, Default)]
pub struct InUse(Option<Arc<Leases>>);

#[derive(Debug)]
struct Leases {
    disk: Arc<DiskStore>,
    newest: Mutex<Option<(Instant, Weak<LiveRun>)>>,
}

impl InUse {
    /// In this cache.
    pub fn of(disk: Arc<DiskStore>) -> Self {
        Self(Some(Arc::new(Leases { disk, newest: Mutex::default() })))
    }

    /// For one attempt, which uses nothing yet.
    pub fn attempt(&self) -> Uses {
        Uses { all: self.clone(), held: Arc::default() }
    }
}

impl Leases {
    /// None where it cannot be written down, as on a full disk: what is evicted then is fetched again, or made again.
    fn take(&self) -> Option<Arc<LiveRun>> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((begun, live)) = &*newest
            && begun.elapsed() < SHARED
            && let Some(live) = live.upgrade()
        {
            return Some(live);
        }
        match self.disk.live_run() {
            Ok(live) => {
                let live = Arc::new(live);
                *newest = Some((Instant::now(), Arc::downgrade(&live)));
                Some(live)
            }
            Err(StoreError::NoSpace { .. }) => None,
            Err(error) => {
                tracing::warn!(%error, "what a step uses of the cache cannot be kept there");
                None
            }
        }
    }
}

/// What an attempt keeps in the cache at present, until it says so or nobody has a clone of this any more. Whoever asks for an
/// attempt keeps one until others have its result.
#[derive(Debug, Clone, Default)]
pub struct Uses {
    all: InUse,
    held: Arc<Mutex<Option<Arc<LiveRun>>>>,
}

impl Uses {
    /// Keeps what is used from now on.
    pub(crate) fn begin(&self) {
        self.hold(self.all.0.as_ref().and_then(|leases| leases.take()));
    }

    /// Keeps nothing.
    pub(crate) fn end(&self) {
        self.hold(None);
    }

    fn hold(&self, live: Option<Arc<LiveRun>>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = std::mem::replace(&mut *held, live);
        // A file is removed with the last of them.
        drop((held, earlier));
    }
}

#[cfg(test)]
mod tests {
    use cullet_cache::disk::OpenOptions;
    use cullet_digest::{Digest, DigestFunction};

    use super::*;

    const BLOCK: usize = 4096;

    /// A cache that is so small that leases keep nothing from before them once it is half full.
    fn cache(blocks: u64) -> (tempfile::TempDir, Arc<DiskStore>) {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions { bound: blocks * BLOCK as u64, ..OpenOptions::new(dir.path()) };
        let disk = Arc::new(DiskStore::open(&options).unwrap());
        disk.gc(u64::MAX).unwrap();
        (dir, disk)
    }

    fn store(disk: &DiskStore, number: u8) -> Result<Digest, StoreError> {
        let bytes = [number; BLOCK];
        let digest = DigestFunction::Blake3.digest(&bytes);
        disk.put_bytes_blocking(&digest, &bytes).map(|()| digest)
    }

    #[test]
    fn one_attempt_after_another_never_holds_what_earlier_ones_used() {
        let (_dir, disk) = cache(20);
        let in_use = InUse::of(disk.clone());
        let long = in_use.attempt();
        for number in 0..100 {
            // As if each began long after the one before.
            *in_use.0.as_ref().unwrap().newest.lock().unwrap() = None;
            let attempt = in_use.attempt();
            attempt.begin();
            let blob = store(&disk, number).unwrap();
            disk.gc(0).unwrap();
            assert!(disk.has(&blob).unwrap(), "it is in use");
            attempt.end();
            // It runs, and uses nothing of the cache.
            if number == 50 {
                long.begin();
                long.end();
            }
        }
        assert_eq!(disk.stats().unwrap().live_runs, 0);
    }

    #[test]
    fn what_an_attempt_uses_stays_until_its_last_clone_is_gone() {
        let (_dir, disk) = cache(2);
        let in_use = InUse::of(disk.clone());
        let (first, second) = (in_use.attempt(), in_use.attempt());
        first.begin();
        let blob = store(&disk, 1).unwrap();
        second.begin();
        assert_eq!(disk.stats().unwrap().live_runs, 1, "they began at the same time");
        first.end();
        let clone = second.clone();
        drop(second);
        disk.gc(0).unwrap();
        assert!(disk.has(&blob).unwrap());
        drop(clone);
        assert_eq!(disk.stats().unwrap().live_runs, 0);
        disk.gc(0).unwrap();
        assert!(!disk.has(&blob).unwrap());
    }

    #[test]
    fn without_a_cache_nothing_is_held() {
        let uses = Uses::default();
        uses.begin();
        assert!(uses.held.lock().unwrap().is_none());
    }
}
