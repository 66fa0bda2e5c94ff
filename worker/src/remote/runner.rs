//! What runs the attempts of a worker in a cluster.

use std::fmt::Debug;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::logs::LogEvents;
use crate::{Attempt, AttemptReport, Worker};

/// Runs attempts: a [`Worker`], or what stands for one where nothing is to be run.
#[async_trait]
pub trait Runner: Debug + Send + Sync {
    /// Runs an attempt to its end, or until `cancel` ends it.
    async fn run(
        &self,
        attempt: Attempt,
        events: Box<dyn LogEvents>,
        cancel: CancellationToken,
    ) -> AttemptReport;
}

#[async_trait]
impl Runner for Worker {
    async fn run(
        &self,
        attempt: Attempt,
        events: Box<dyn LogEvents>,
        cancel: CancellationToken,
    ) -> AttemptReport {
        Self::run(self, attempt, events, cancel).await
    }
}
