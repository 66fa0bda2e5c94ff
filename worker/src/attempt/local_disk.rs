//! The disk cache as a source and destination of files.

use std::path::Path;

use cullet_cache::StoreError;
use cullet_cache::disk::DiskStore;
use cullet_digest::{Digest, DigestFunction};

use super::LocalFiles;

impl LocalFiles for DiskStore {
    fn link_to(&self, digest: &Digest, executable: bool, dest: &Path) -> Result<(), StoreError> {
        Self::link_to(self, digest, executable, dest)
    }

    fn adopt_file(&self, path: &Path, function: DigestFunction) -> Result<Digest, StoreError> {
        Self::adopt_file(self, path, function)
    }

    fn adopt_copy(&self, path: &Path, function: DigestFunction) -> Result<Digest, StoreError> {
        Self::adopt_copy(self, path, function)
    }

    fn ingest_copy(&self, expected: &Digest, source: &Path) -> Result<(), StoreError> {
        Self::ingest_copy(self, expected, source)
    }
}
