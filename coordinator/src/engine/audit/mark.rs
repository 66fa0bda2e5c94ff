//! What stays of a result that was put in quarantine, for who asks why a step ran.

use cullet_cache::{KeptRecords, Scope, StoreError};
use cullet_core::TimeMs;
use cullet_digest::Digest;
use serde::{Deserialize, Serialize};

/// That a result was put in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When.
    pub at_ms: TimeMs,
    /// Outputs that were others.
    pub outputs: Vec<String>,
}

impl Mark {
    /// Marks a result of a scope, in place of an earlier mark.
    ///
    /// # Errors
    /// The store cannot be written.
    pub(super) async fn put(
        &self,
        kept: &KeptRecords,
        scope: &Scope,
        action: &Digest,
    ) -> Result<(), StoreError> {
        let failed = |error: serde_json::Error| StoreError::Remote {
            action: "store in",
            place: kept.place().to_owned(),
            source: std::sync::Arc::new(error),
        };
        let bytes = serde_json::to_vec(self).map_err(failed)?;
        kept.put(&name(scope, action), bytes.into()).await
    }

    /// The last mark of a result of a scope. A damaged one is none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn of(kept: &KeptRecords, scope: &Scope, action: &Digest) -> Result<Option<Self>, StoreError> {
        let found = kept.get(&name(scope, action)).await?;
        Ok(found.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }
}

fn name(scope: &Scope, action: &Digest) -> String {
    format!("audit of {action} in {scope}")
}
