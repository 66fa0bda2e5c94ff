//! What this machine remembers of its runs.

use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use cullet_cache::LocalCache;
use cullet_digest::Digest;
use futures_util::FutureExt as _;

use super::facts::Facts;
use super::known::{Execution, Known, Results};
use crate::config::{Config, SharedCacheConfig};
use crate::error::CliError;
use crate::history::{Store, keys};
use crate::shared_store;
use crate::ui::{clean, short};

/// A run of this machine, the last one where none is named, and what its events say of a step.
pub(super) fn known(config: &Config, run: Option<&str>, step: &str) -> Result<(Known, Facts), CliError> {
    let run = Store::open(config.runs_dir()).find(run)?;
    let meta = run.meta();
    if let Some(cluster) = &meta.cluster {
        let name = short(&meta.run);
        let elsewhere = CliError::usage(format!("run {name} was one of a cluster, which knows more of it"));
        return Err(elsewhere.hint(format!("add --cluster {}", clean::line(cluster))));
    }
    let facts = Facts::read(step, |each| run.events(each))?;
    let cache = shared_store::local(&config.cache_options(), meta.scope().as_ref())?;
    let cache = if meta.break_glass { cache.over(&config.quarantine()) } else { cache };
    let trust = config.trust(meta.scope().as_ref());
    let shared = config.shared_cache(None)?.map(|shared| SharedCacheConfig { trust, ..shared });
    let scope = keys::scope(&meta.pipeline, Path::new(&meta.file));
    let known = Known {
        run: meta.run.clone(),
        started_ms: meta.started_at_ms,
        no_cache: meta.command_line.iter().any(|word| word == "--no-cache"),
        keys: keys::nearest(&config.keys_dir(), &scope, step)?,
        // Keys of a run are written down at its end: of one that went on beside this one, this one knew nothing.
        until_ms: Some(meta.started_at_ms),
        blobs: Arc::clone(&cache.blobs),
        results: Box::new(cache),
        shared,
    };
    Ok((known, facts))
}

impl Results for LocalCache {
    fn execution(&self, key: &Digest) -> Option<Execution> {
        // On a disk, every answer is there at once.
        let result = self.seen.get(key).now_or_never()?.ok().flatten()?;
        Some(Execution { started_ms: result.started_at_ms, duration_ms: result.duration_ms })
    }

    fn evicted_ms(&self, key: &Digest) -> Option<u64> {
        let evicted = self.tombstone(key).ok().flatten()?;
        Some(evicted.duration_since(UNIX_EPOCH).ok()?.as_secs().saturating_mul(1000))
    }
}
