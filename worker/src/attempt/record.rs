//! Successes go into the action cache.

use cullet_cache::{ActionResult, Blob, StoreError};

use super::{Attempt, Stores};

/// Stores the result under the key of the action, and the action with it, so that a key can be explained.
pub(super) async fn record(
    stores: &Stores,
    attempt: &Attempt,
    result: &ActionResult,
) -> Result<(), StoreError> {
    let encoded = attempt.action.encode(attempt.action_digest.function());
    // An action that came from elsewhere in another encoding was stored by whoever sent it.
    if encoded.digest == attempt.action_digest {
        let command = stores.blobs.put(&encoded.command_digest, Blob::from(encoded.command));
        let action = stores.blobs.put(&encoded.digest, Blob::from(encoded.action));
        let (command, action) = tokio::join!(command, action);
        command.and(action)?;
    }
    stores.actions.put(&attempt.action_digest, result).await
}
