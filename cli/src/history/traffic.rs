//! How often each tier of the cache has answered, and what went from one to another, over all runs of a cache directory.

use std::fs;
use std::io;
use std::path::Path;

use cullet_coordinator::RunEnd;
use serde::{Deserialize, Serialize};

use super::lock::Lock;

/// Counters that only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    /// Steps that the cache of this machine answered, or an identical step.
    pub hits_local: u64,
    /// Steps that a shared cache answered.
    pub hits_shared: u64,
    /// Bytes of blobs that came from shared caches.
    pub downloaded_bytes: u64,
    /// Bytes of blobs that went to shared caches.
    pub uploaded_bytes: u64,
}

impl Traffic {
    /// Those of a cache directory. Where they cannot be read, counting begins anew.
    pub fn of(cache_dir: &Path) -> Self {
        let read = fs::read(cache_dir.join(FILE)).ok();
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Adds what a run did. Whoever is killed meanwhile leaves the counters as they were; a power cut may take them.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn add(cache_dir: &Path, end: &RunEnd) -> io::Result<()> {
        let shared = end.shared_cache.clone().unwrap_or_default();
        if end.cached == 0 && shared.downloaded_bytes == 0 && shared.uploaded_bytes == 0 {
            return Ok(());
        }
        // Runs that end at the same time.
        let _lock = Lock::exclusive(&cache_dir.join(LOCK))?;
        let mut sum = Self::of(cache_dir);
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut sum.hits_local, end.cached.saturating_sub(shared.cached_shared).into());
        add(&mut sum.hits_shared, shared.cached_shared.into());
        add(&mut sum.downloaded_bytes, shared.downloaded_bytes);
        add(&mut sum.uploaded_bytes, shared.uploaded_bytes);
        let draft = cache_dir.join(DRAFT);
        fs::write(&draft, serde_json::to_vec(&sum)?)?;
        fs::rename(draft, cache_dir.join(FILE))
    }
}

const FILE: &str = "traffic.json";
const DRAFT: &str = "traffic.json.new";
const LOCK: &str = "traffic.lock";

#[cfg(test)]
mod tests {
    use cullet_coordinator::event::SharedUse;

    use super::*;

    #[test]
    fn counters_grow_with_every_run_and_survive_damage() {
        let dir = tempfile::tempdir().unwrap();
        let add = |end: &RunEnd| Traffic::add(dir.path(), end).unwrap();
        add(&RunEnd::default());
        assert!(!dir.path().join(FILE).exists(), "nothing to count");
        add(&RunEnd { cached: 3, ..RunEnd::default() });
        let shared =
            SharedUse { cached_shared: 4, downloaded_bytes: 10, uploaded_bytes: 20, ..SharedUse::default() };
        let end = RunEnd { cached: 5, shared_cache: Some(shared), ..RunEnd::default() };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| add(&end));
            }
        });
        let expected = Traffic { hits_local: 11, hits_shared: 32, downloaded_bytes: 80, uploaded_bytes: 160 };
        assert_eq!(Traffic::of(dir.path()), expected);
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert_eq!(Traffic::of(dir.path()), Traffic::default());
    }
}
