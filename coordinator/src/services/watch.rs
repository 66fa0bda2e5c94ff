//! Following a run.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cullet_cache::BlobStore;
use cullet_core::RunId;
use cullet_proto::v1;
use futures_util::Stream;
use futures_util::stream::try_unfold;
use tokio::sync::watch;
use tonic::Status;

use super::access::{cut_off, unknown};
use super::events::{Told, told};
use crate::metrics::Held;
use crate::raft::{Contact, Node, SharedState};

/// Events in the order of their numbers, until the run is at its end.
pub(super) type Events = Pin<Box<dyn Stream<Item = Result<v1::RunEvent, Status>> + Send>>;

/// Events that are copied at once: the state is locked meanwhile.
const BATCH: usize = 256;

/// Between two looks at a run. A busy cluster applies thousands of entries a second, of which few are about one run.
const PAUSE: Duration = Duration::from_millis(5);

struct Watch {
    /// Not the whole node: that would keep the log open for as long as somebody watches.
    state: SharedState,
    contact: Arc<Contact>,
    blobs: Arc<dyn BlobStore>,
    run: RunId,
    /// The number of the last event that was told.
    after: u64,
    applied: watch::Receiver<u64>,
    /// To be told, last first.
    batch: Vec<Told>,
    _counted: Held,
}

/// What happened in a run after the event with this number, and what happens.
pub(super) fn events(node: Node, blobs: Arc<dyn BlobStore>, run: RunId, after: u64, counted: Held) -> Events {
    let (state, contact) = (node.state().clone(), Arc::clone(node.contact()));
    drop(node);
    let applied = state.watch();
    let watch = Watch { state, contact, blobs, run, after, applied, batch: Vec::new(), _counted: counted };
    Box::pin(try_unfold(watch, Watch::next))
}

impl Watch {
    async fn next(mut self) -> Result<Option<(v1::RunEvent, Self)>, Status> {
        loop {
            if let Some(told) = self.batch.pop() {
                let event = told.complete(&*self.blobs).await;
                self.after = event.sequence;
                return Ok(Some((event, self)));
            }
            self.applied.mark_unchanged();
            if self.look()? && self.batch.is_empty() {
                return Ok(None);
            }
            if self.batch.is_empty() {
                tokio::select! {
                    changed = self.applied.changed() => changed.map_err(|_| {
                        Status::unavailable("this coordinator takes no part any more; ask another")
                    })?,
                    () = self.contact.until_lost() => return Err(cut_off()),
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Copies the next events. Says whether the run is at its end.
    fn look(&mut self) -> Result<bool, Status> {
        let applying = self.state.read();
        let run = applying.state.run(self.run).ok_or_else(|| unknown(self.run))?;
        let events = run.events(self.after).take(BATCH);
        self.batch = events.map(|(sequence, event)| told(self.run, run, sequence, event)).collect();
        self.batch.reverse();
        Ok(run.status().is_some())
    }
}
