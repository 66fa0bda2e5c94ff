//! Repositories of a registry.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cullet_cache::{Area, Objects, RecordName};
use cullet_digest::{Digest, DigestFunction};
use cullet_image::{Registries, RegistryOptions};

use crate::registry::Real;

/// A registry that deletes what it is told to, or not.
pub(crate) fn start(deletes: bool) -> Option<Real> {
    Real::start_storage(&format!("  delete:\n    enabled: {deletes}\n"), "", "")
}

pub(crate) fn registries() -> Registries {
    let options =
        RegistryOptions { pause: Duration::from_millis(50), retries: 3, ..RegistryOptions::default() };
    Registries::new(options).unwrap()
}

pub(crate) fn open(address: &str, repository: &str) -> Arc<dyn Objects> {
    cullet_cache_registry::open(&format!("oci://{address}/{repository}"), &registries()).unwrap()
}

pub(crate) fn name(text: &str) -> RecordName {
    RecordName::new(Area::Tree, DigestFunction::Blake3.digest(text.as_bytes()))
}

/// Stores data with this text.
pub(crate) async fn store(objects: &dyn Objects, text: &str) -> Digest {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let digest = DigestFunction::Sha256.digest(&bytes);
    objects.put_data(&digest, bytes).await.unwrap();
    digest
}

/// An error with everything below it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(error) = at {
        text += &format!(": {error}");
        at = error.source();
    }
    text
}
