//! The cache that machines share, wherever it is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cullet_bundle::Bundle;
use cullet_cache::disk::OpenOptions;
use cullet_cache::mirror::{self, Named};
use cullet_cache::{LocalCache, Location, ObjectOptions, Scope, SharedCache, StoreError};
use cullet_image::Registries;

use crate::config::RegistrySettings;
use crate::error::CliError;

/// The first pause of those who do not wait long: a registry that refuses connections is known before a lookup is late.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Opens the cache at a location. Neither a bucket nor a registry is asked before it is used.
///
/// # Errors
/// [`StoreError::Location`] for what is no location, or cannot be reached in the way that environment and configuration
/// say.
pub(crate) fn open(
    location: &str,
    options: &ObjectOptions,
    registries: &RegistrySettings,
) -> Result<SharedCache, StoreError> {
    match location.parse()? {
        Location::Registry(location) => {
            SharedCache::over(in_registry(&location, registries, Some(options.retries))?, options)
        }
        _ => SharedCache::open(location, options),
    }
}

/// `retries`: those of somebody who would rather go on without it than wait for it.
fn in_registry(
    location: &str,
    registries: &RegistrySettings,
    retries: Option<u32>,
) -> Result<Arc<dyn Named>, StoreError> {
    let unusable = |reason: String| StoreError::Location { location: location.to_owned(), reason };
    let mut settings = registries.options().map_err(|error: CliError| unusable(error.to_string()))?;
    if let Some(retries) = retries.filter(|retries| *retries < settings.retries) {
        (settings.retries, settings.pause) = (retries, FIRST_PAUSE);
    }
    let registries = Registries::new(settings).map_err(|error| unusable(error.to_string()))?;
    cullet_cache_registry::open(location, &registries)
}

/// The storage of the cache at a location, where that can say what it has.
///
/// # Errors
/// As for [`open`], and for a directory.
pub(crate) fn named(
    location: &str,
    options: &ObjectOptions,
    registries: &RegistrySettings,
) -> Result<Arc<dyn Named>, StoreError> {
    match location.parse()? {
        Location::Registry(location) => in_registry(&location, registries, None),
        bucket => mirror::bucket(&bucket, options),
    }
}

/// A bundle as a cache that is only read.
///
/// # Errors
/// The directory for large blobs cannot be made.
pub(crate) fn of_bundle(bundle: &Arc<Bundle>, cache_dir: &Path) -> Result<SharedCache, StoreError> {
    let options = ObjectOptions { read_only: true, ..ObjectOptions::new(cache_dir.join("spool")) };
    SharedCache::over(bundle.objects(), &options)
}

/// Whether a text names a place for a cache.
///
/// # Errors
/// [`StoreError::Location`].
pub(crate) fn check(location: &str) -> Result<Location, StoreError> {
    let location = location.parse()?;
    if let Location::Registry(text) = &location {
        cullet_cache_registry::check(text)?;
    }
    Ok(location)
}

/// Opens the cache of this machine, with the results of a scope where those are not the usual ones.
///
/// # Errors
/// See [`cullet_cache::open`].
pub(crate) fn local(options: &OpenOptions, scope: Option<&Scope>) -> Result<LocalCache, StoreError> {
    let cache = cullet_cache::open(options)?;
    Ok(match scope {
        Some(scope) => cache.of(scope),
        None => cache,
    })
}
