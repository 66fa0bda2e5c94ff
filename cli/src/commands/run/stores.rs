//! The cache of a run, and what is behind it.

use std::sync::Arc;

use cullet_bundle::Bundle;
use cullet_cache::{LiveRun, LocalCache, Scope, StoreError};

use super::{Extras, behind};
use crate::args::RunArgs;
use crate::config::{Config, SharedCacheConfig};
use crate::error::CliError;
use crate::shared_store;

/// The cache of the machine, what is behind it, and whose cache volumes steps have, where those are not the usual ones.
pub(super) fn stores(
    args: &RunArgs,
    config: &Config,
    extras: &Extras,
) -> Result<(LocalCache, Option<behind::Opened>, Option<Scope>), CliError> {
    let trust = config.trust(args.scope.as_ref());
    let mut volumes = trust.local_scope().cloned();
    let mut cache = shared_store::local(&config.run_cache_options(), volumes.as_ref())?;
    // A bundle stands for a shared cache.
    let shared =
        if extras.bundle.is_some() { None } else { config.shared_cache(args.shared_cache.as_deref())? };
    let mut shared = shared.map(|shared| SharedCacheConfig { trust, ..shared });
    if extras.quarantined {
        let scope = config.quarantine();
        cache = cache.over(&scope);
        shared = shared.map(|shared| shared.quarantined(&scope));
        volumes = Some(scope);
    }
    if let Some(rehearsing) = &extras.rehearsing {
        cache = cache.over(&rehearsing.scope);
        shared = rehearsing.reachable(shared);
    }
    Ok((cache, behind(shared, config, extras.bundle.as_ref())?, volumes))
}

/// What is behind the cache of the machine.
fn behind(
    shared: Option<SharedCacheConfig>,
    config: &Config,
    bundle: Option<&Arc<Bundle>>,
) -> Result<Option<behind::Opened>, CliError> {
    if let Some(bundle) = bundle {
        return Ok(Some(behind::of_bundle(bundle, &config.cache_dir)));
    }
    shared.map(|shared| behind::open(&shared, &config.cache_dir, &config.registries)).transpose()
}

/// Protects what the run uses from being evicted. On a full disk that cannot be written down; the cache may still
/// have all the answers, and an entry that disappears meanwhile is made again.
pub(super) fn live_run(cache: &LocalCache) -> Result<Option<LiveRun>, CliError> {
    match cache.live_run() {
        Ok(live) => Ok(Some(live)),
        Err(StoreError::NoSpace { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
