//! The action cache.

use std::fmt::Debug;

use async_trait::async_trait;
use cullet_digest::Digest;

use crate::{ActionResult, StoreError};

/// Results by the digest of their Action (the action cache of REAPI v2).
#[async_trait]
pub trait ActionCache: Debug + Send + Sync {
    /// The result of the action, if there is one. A damaged entry is no entry.
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError>;

    /// Records a result in place of any earlier one. Every blob it names is already stored.
    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError>;

    /// Removes the entry, if there is one, because its result turned out to be unreadable or wrong.
    async fn remove(&self, action: &Digest) -> Result<(), StoreError>;
}
