//! Async work for callers that block.

use std::future::Future;
use std::sync::mpsc;

use tokio::runtime::Handle;

use crate::StoreError;

/// Runs the work on the runtime and blocks until it is done. Never on a thread of that runtime: it would wait for
/// itself if it is the only one.
pub(crate) fn wait<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, StoreError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // Nobody listens any more only where the caller's thread is gone.
        let _ = sender.send(work.await);
    });
    // The work bounds its waits, and a runtime that ends drops it and with it the sender.
    receiver
        .recv()
        .map_err(|error| StoreError::io("finish work on", "the cache", std::io::Error::other(error)))
}
