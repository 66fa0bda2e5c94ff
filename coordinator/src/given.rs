//! An action that somebody else made: the only step of an operation.

use cullet_cache::{Action, ActionError, BlobStore, EncodedAction, StoreError};
use cullet_digest::{Digest, DigestFunction};
use cullet_pipeline::plan::{CacheVolume, Limits};

use crate::deliverable::Deliverable;
use crate::template::Templates;

/// An action as it was given, and what it says.
#[derive(Debug, Clone)]
pub struct GivenAction {
    /// What it says.
    pub action: Action,
    /// Its bytes.
    pub encoded: EncodedAction,
}

/// Why there is no such action.
#[derive(Debug, thiserror::Error)]
pub enum NoAction {
    /// It, or the Command that it names, is not in the store.
    #[error("{what} {digest} is not in the store: upload it first")]
    Missing {
        /// Which of the two.
        what: &'static str,
        /// Its name.
        digest: Digest,
    },
    /// It is something else.
    #[error("{digest} cannot be executed: {source}")]
    Bad {
        /// Of the action.
        digest: Digest,
        /// What is wrong with it.
        source: ActionError,
    },
    /// It cannot be read.
    #[error(transparent)]
    Store(StoreError),
}

/// The largest Action or Command, in bytes. With more, no worker would be told of it.
const MOST: u64 = 3 << 20;

impl GivenAction {
    /// Reads an action and its Command.
    ///
    /// # Errors
    /// [`NoAction`].
    pub async fn read(blobs: &dyn BlobStore, digest: Digest) -> Result<Self, NoAction> {
        let bad = |source| NoAction::Bad { digest, source };
        let action = part(blobs, "the Action", digest).await?;
        let function = digest.function();
        let command_digest = Action::command_digest(function, &action).map_err(bad)?;
        let command = part(blobs, "the Command", command_digest).await?;
        let parsed = Action::decode(function, &action, &command).map_err(bad)?;
        let encoded = EncodedAction { digest, action, command_digest, command };
        Ok(Self { action: parsed, encoded })
    }

    /// The function of all its digests.
    pub const fn function(&self) -> DigestFunction {
        self.encoded.digest.function()
    }
}

async fn part(blobs: &dyn BlobStore, what: &'static str, digest: Digest) -> Result<Vec<u8>, NoAction> {
    if digest.size() > MOST {
        return Err(NoAction::Store(StoreError::TooLarge { digest, limit: MOST }));
    }
    let blob = blobs.get(&digest).await.map_err(|error| match error {
        StoreError::NotFound { .. } | StoreError::Mismatch { .. } => NoAction::Missing { what, digest },
        error => NoAction::Store(error),
    })?;
    let bytes = blob.into_bytes();
    Ok(bytes.map_err(|error| NoAction::Store(StoreError::io("read", what, error)))?.into())
}

impl Templates for GivenAction {
    fn template(&self, _: u32) -> Action {
        self.action.clone()
    }

    fn given(&self) -> Option<&GivenAction> {
        Some(self)
    }

    fn outputs(&self, _: u32) -> Vec<String> {
        Vec::new()
    }

    fn reports(&self, _: u32) -> Vec<String> {
        Vec::new()
    }

    fn limits(&self, _: u32) -> Limits {
        Limits::default()
    }

    fn image(&self, _: u32) -> Option<&str> {
        self.action.container_image()
    }

    fn service_images(&self, _: u32) -> Vec<(String, String)> {
        Vec::new()
    }

    fn caches(&self, _: u32) -> &[CacheVolume] {
        &[]
    }

    fn deliverables(&self) -> Vec<Deliverable<u16>> {
        Vec::new()
    }
}
