//! What a step of one run is explained from, wherever it ran.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use cullet_cache::BlobStore;
use cullet_digest::Digest;

use crate::commands::run::behind;
use crate::commands::run::prepare::FUNCTION;
use crate::config::{Config, SharedCacheConfig};
use crate::history::keys::KeyRecord;
use crate::ui::clean;

/// A run, and what is known of the keys of one of its steps.
pub(super) struct Known {
    /// The run's whole name.
    pub(super) run: String,
    /// When it was started, in milliseconds since the Unix epoch.
    pub(super) started_ms: u64,
    /// Nobody wanted results of the cache.
    pub(super) no_cache: bool,
    /// When the step's keys were seen, the newest first.
    pub(super) keys: Vec<KeyRecord>,
    /// What was seen later explains nothing; none where that is whatever was seen after the step was executed.
    pub(super) until_ms: Option<u64>,
    /// Actions, and what they name.
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) results: Box<dyn Results>,
    /// The cache that is shared with others, where a run of this machine would ask it.
    pub(super) shared: Option<SharedCacheConfig>,
}

/// What is known of results by their keys.
pub(super) trait Results {
    /// What made the result.
    fn execution(&self, key: &Digest) -> Option<Execution>;

    /// When the result was evicted last, in milliseconds since the Unix epoch.
    fn evicted_ms(&self, key: &Digest) -> Option<u64>;

    /// Outputs that differed, where it was an audit that took it away.
    fn audited(&self) -> &[String] {
        &[]
    }
}

/// What made a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Execution {
    /// In milliseconds since the Unix epoch.
    pub(super) started_ms: u64,
    pub(super) duration_ms: u64,
}

/// A result that was evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Evicted {
    /// In milliseconds since the Unix epoch; whole seconds.
    pub(super) at_ms: u64,
    /// From where.
    pub(super) place: String,
    /// Outputs that differed, where it was an audit that took it away.
    pub(super) audited: Vec<String>,
}

impl Known {
    /// When and where the result of a key was evicted last, of the places that a run asks. The shared cache is asked only
    /// where this machine does not know: that takes longer.
    pub(super) async fn evicted(&self, key: &str, config: &Config) -> Option<Evicted> {
        let key = parse(key)?;
        if let Some(at_ms) = self.results.evicted_ms(&key) {
            let audited = self.results.audited().to_vec();
            return Some(Evicted { at_ms, place: "the cache".to_owned(), audited });
        }
        let shared = behind::open(self.shared.as_ref()?, &config.cache_dir, &config.registries).ok()?;
        let at_ms =
            shared.evicted(&key).await?.duration_since(UNIX_EPOCH).ok()?.as_secs().saturating_mul(1000);
        Some(Evicted { at_ms, place: clean::line(shared.place()), audited: Vec::new() })
    }

    /// What made the result that a step with this key was given by `ended_ms`, and in which run that was, where it was
    /// one of those that are remembered.
    pub(super) fn execution(&self, key: &str, ended_ms: u64) -> Option<(Execution, Option<&KeyRecord>)> {
        // What was executed since then answered nothing.
        let execution = self.results.execution(&parse(key)?).filter(|made| made.started_ms <= ended_ms)?;
        let made = |record: &&KeyRecord| {
            let executed = !record.cached && record.status == "succeeded" && record.digest == key;
            // One that ended before this began made another result, which is gone.
            executed && record.run != self.run && (execution.started_ms..=ended_ms).contains(&record.at_ms)
        };
        Some((execution, self.keys.iter().find(made)))
    }
}

pub(super) fn parse(key: &str) -> Option<Digest> {
    Digest::parse(FUNCTION, key).ok()
}

#[cfg(test)]
mod tests {
    use cullet_cache::MemoryStore;

    use super::*;

    struct One(Execution);

    impl Results for One {
        fn execution(&self, _: &Digest) -> Option<Execution> {
            Some(self.0)
        }

        fn evicted_ms(&self, _: &Digest) -> Option<u64> {
            None
        }
    }

    #[test]
    fn a_result_comes_from_the_run_that_executed_it() {
        let key = FUNCTION.digest(b"x").to_string();
        let seen = |at_ms: u64, cached| KeyRecord {
            digest: key.clone(),
            status: "succeeded".to_owned(),
            cached,
            at_ms,
            run: format!("r{at_ms}"),
        };
        let made = Execution { started_ms: 100, duration_ms: 10 };
        let known = |keys: Vec<KeyRecord>| Known {
            run: "r".to_owned(),
            started_ms: 500,
            no_cache: false,
            keys,
            until_ms: None,
            blobs: Arc::new(MemoryStore::new(1)),
            results: Box::new(One(made)),
            shared: None,
        };
        let from = |keys, ended_ms| {
            let known = known(keys);
            let (_, record) = known.execution(&key, ended_ms)?;
            Some(record.map(|record| record.at_ms))
        };
        assert_eq!(from(vec![seen(300, true), seen(110, false)], 500), Some(Some(110)));
        let failed = KeyRecord { status: "failed".to_owned(), ..seen(110, false) };
        assert_eq!(from(vec![failed, seen(90, false)], 500), Some(None), "made by somebody else");
        assert_eq!(from(vec![seen(600, false)], 500), Some(None), "by a run that came later");
        assert_eq!(from(vec![seen(110, false)], 99), None, "the result itself is of a later one");
    }
}
