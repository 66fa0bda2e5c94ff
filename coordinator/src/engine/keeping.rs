//! Actions on their way into the store, for who asks later why a key was a new one. No step waits for that: where this term
//! ends before they are there, the next leader makes them again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cullet_cache::EncodedAction;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Leading;
use crate::resolve::{describe, stored};

/// Actions that wait to be stored, a kilobyte or two each. Who makes more waits.
pub(super) const KEPT: usize = 1024;

/// Actions that are stored together, and how many times that at once.
const TOGETHER: usize = 64;
const AT_ONCE: usize = 4;

impl Leading {
    /// Stores what comes through the queue; never returns.
    pub(super) async fn keep_actions(&self, queue: mpsc::Receiver<Arc<EncodedAction>>) {
        let failing = AtomicBool::new(false);
        let store = async |actions: Vec<Arc<EncodedAction>>| {
            let blobs = actions.iter().flat_map(|action| stored(action)).collect();
            let kept = self.parts.blobs.put_small(blobs).await;
            // Said once for each time that it begins.
            if failing.swap(kept.is_err(), Ordering::Relaxed) {
                return;
            }
            if let Err(error) = kept {
                let error = describe(&error);
                tracing::warn!(
                    error,
                    "keys of steps cannot be stored: it will not be known why they are new"
                );
            }
        };
        ReceiverStream::new(queue).ready_chunks(TOGETHER).for_each_concurrent(AT_ONCE, store).await;
        std::future::pending().await
    }
}
