//! A store that others share, behind the cache of the machine.

use async_trait::async_trait;
use cullet_digest::Digest;
use tokio_util::sync::CancellationToken;

use super::Session;
use crate::driver::Driver;
use crate::event::{Event, RunEnd, SharedUse, StepEnd};

/// Tasks that look up actions at once where they wait for a store elsewhere, and not for the processor.
pub(super) const LOOKUPS: usize = 64;

/// The store behind the cache, as far as a run has to do with it.
#[async_trait]
pub trait StoreBehind: Send + Sync {
    /// Whether the result of this action came from there.
    fn gave(&self, action: &Digest) -> bool;

    /// Waits, within bounds, until what the run made is there as well, and says what was moved. Of a run that was cancelled
    /// nothing is waited for. How often results came from where is the session's to say.
    async fn settle(&self, cancelled: bool) -> SharedUse;
}

impl<D: Driver> Session<D> {
    /// Where the result of a step came from that the cache answered.
    pub(super) fn tell_origin(&self, end: &mut StepEnd, action: Option<Digest>) {
        let (Some(behind), Some(action)) = (&self.parts.behind, action) else { return };
        let from = if behind.gave(&action) { StepEnd::SHARED } else { StepEnd::LOCAL };
        end.from = Some(from.to_owned());
    }

    /// The end of the run, once there is nothing to wait for, or nobody who does.
    pub(super) async fn settle(&mut self, mut end: RunEnd, cancel: &CancellationToken) -> RunEnd {
        if let Some(behind) = self.parts.behind.clone() {
            let moved = tokio::select! {
                biased;
                () = cancel.cancelled() => behind.settle(true).await,
                moved = behind.settle(false) => moved,
            };
            let (mut cached_local, mut cached_shared) = (0, 0);
            for view in self.core_run().into_iter().flat_map(|run| run.steps()).filter(|view| view.cached) {
                let shared = view.action.is_some_and(|action| behind.gave(&action));
                *(if shared { &mut cached_shared } else { &mut cached_local }) += 1;
            }
            end.shared_cache = Some(SharedUse { cached_local, cached_shared, ..moved });
        }
        self.parts.events.event(&Event::RunFinished(end.clone()));
        end
    }
}
