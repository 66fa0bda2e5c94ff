//! Work that takes long or waits for a disk.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinError;

/// Does it on a thread for such work; on a runtime that has but one thread, in the call. Only simulations and tests run
/// on such a one, and there the order of things must not depend on another thread.
///
/// # Errors
/// Where it panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => Ok(work()),
        _ => tokio::task::spawn_blocking(work).await,
    }
}
