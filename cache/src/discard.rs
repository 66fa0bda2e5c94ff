//! The narrow hook through which a damaged blob is dropped.

use std::fmt::Debug;

use cullet_digest::Digest;

use crate::StoreError;

/// A store that can drop a blob whose bytes turned out not to be those of its digest. Apart from
/// [`crate::BlobStore`]: whoever reads and writes blobs has no business removing them.
pub trait Discard: Debug + Send + Sync {
    /// Drops the blob if it is damaged indeed; the store looks for itself. Blocking.
    fn discard(&self, digest: &Digest) -> Result<(), StoreError>;
}
