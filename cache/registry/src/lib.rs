//! The shared cache in one repository of any OCI registry.
//!
//! - **Data** is a blob of the repository, which has its name already: the SHA-256 of its bytes.
//! - A **record** is a small image manifest whose tag is the record's name. Its content stands in an annotation, so that a
//!   lookup is one request; a long one is a blob. The data that it needs are the layers of the manifest, so the registry's own
//!   garbage collector keeps them for as long as the tag; where there are too many for one manifest, the tag is on an index
//!   of several, each with a tag of its own, because `docker-registry` 2.8 would otherwise collect them.
//!
//! No part of the distribution API is needed that is optional. Where nothing can be deleted, a record is removed by putting one
//! in its place that says so; data is left to the registry's collector then. What a record replaced is left to that, too
//! (`docker-registry garbage-collect --delete-untagged`, or a retention rule for what has no tag).
//!
//! Source: OCI image-spec 1.1, "Guidelines for Artifact Usage"; OCI distribution-spec 1.1.

mod location;
mod record;
mod removal;
mod store;

use std::sync::Arc;

use cullet_cache::StoreError;
use cullet_cache::mirror::Named;
use cullet_image::Registries;

use self::location::Location;
use self::store::RegistryObjects;

/// Whether a text is a location for [`open`].
///
/// # Errors
/// [`StoreError::Location`], which says what is wrong with it.
pub fn check(location: &str) -> Result<(), StoreError> {
    location.parse::<Location>().map(drop)
}

/// Records and data in the repository at `oci://HOST[:PORT]/REPOSITORY`. Nothing is asked of the registry yet.
///
/// # Errors
/// [`StoreError::Location`] for a text that is none, and [`StoreError::Remote`] where `registries` cannot be used.
pub fn open(location: &str, registries: &Registries) -> Result<Arc<dyn Named>, StoreError> {
    let location: Location = location.parse()?;
    let artifacts = registries.artifacts(&location.registry, &location.repository);
    let place = location.to_string();
    let artifacts = artifacts.map_err(|error| store::failed("use", &place, error))?;
    Ok(Arc::new(RegistryObjects::new(place, artifacts)))
}
