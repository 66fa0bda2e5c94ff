//! Looking at blobs without using them.

use bytes::Bytes;
use cullet_digest::Digest;

use super::bases::Area;
use super::name::EntryName;
use super::store::{DiskStore, is_the_empty_blob};
use crate::StoreError;

impl DiskStore {
    /// Whether the blob is there with its full length. Unlike [`DiskStore::has`] this is no use of it: no live run keeps
    /// it because of that, and it can be gone at once.
    pub(crate) fn shows(&self, digest: &Digest) -> bool {
        is_the_empty_blob(digest) || self.disk.exists(digest)
    }

    /// The bytes of a blob, in memory; none where it is not there or damaged. This is no use of it either.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn look(&self, digest: &Digest) -> Result<Option<Bytes>, StoreError> {
        if is_the_empty_blob(digest) {
            return Ok(Some(Bytes::new()));
        }
        let (function, name) = (digest.function(), EntryName::new(digest));
        // One byte more than announced is enough to know that it is another blob.
        let bytes = self.disk.peek(Area::Cas, function, &name, digest.size().saturating_add(1))?;
        Ok(bytes.filter(|bytes| function.digest(bytes) == *digest))
    }
}
