//! How much may be submitted at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Bytes of pipelines that are planned at once. A plan and its steps take some thirty times as much for a while.
const MOST: usize = 32 << 20;

/// What one pipeline counts with at least: a small one that becomes many steps takes more than its text.
const LEAST: usize = 64 << 10;

/// How long a submission waits for its turn before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);

/// Memory for submissions.
#[derive(Debug, Clone)]
pub(super) struct Intake(Arc<Semaphore>);

impl Default for Intake {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

impl Intake {
    /// Memory for a pipeline of so many bytes; none where too many others wait for it.
    pub(super) async fn reserve(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let bytes = u32::try_from(bytes.clamp(LEAST, MOST)).unwrap_or(u32::MAX);
        timeout(PATIENCE, Arc::clone(&self.0).acquire_many_owned(bytes)).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_is_room_for_so_many_and_for_more_when_some_are_done() {
        let intake = Intake::default();
        let mut held = Vec::new();
        for _ in 0..MOST / LEAST {
            held.push(intake.reserve(1).await.unwrap());
        }
        assert!(intake.reserve(1).await.is_none());
        held.pop();
        assert!(intake.reserve(1).await.is_some());
        held.clear();
        assert!(intake.reserve(usize::MAX).await.is_some(), "a large one has its turn alone");
    }
}
