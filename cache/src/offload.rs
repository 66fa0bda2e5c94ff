//! Long blocking work, where it holds up no runtime.

use crate::StoreError;

/// Runs the work on a blocking thread if there is a tokio runtime, else here.
pub(crate) async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return work() };
    runtime.spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(StoreError::io("finish work on", "the cache", std::io::Error::other(error)))
    })
}
