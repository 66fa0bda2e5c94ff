//! Reading what attempts print: from workers while they run, from the store afterwards. An offset means the same byte
//! in both.

mod relay;
mod stored;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cullet_core::RunId;
use cullet_proto::{Dial, v1};
use futures_util::Stream;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::access::{cut_off, unknown};
use super::log_source::{Place, Wanted, place, wanted};
use crate::engine::{Engine, EngineParts};
use crate::metrics::Held;
use crate::raft::{Contact, Node, SharedState};
use stored::stored;

/// Pieces of a log, in order.
pub(super) type Chunks = Pin<Box<dyn Stream<Item = Result<v1::LogChunk, Status>> + Send>>;

/// Pieces that are read ahead of the client, 64 KiB each.
const AHEAD: usize = 2;

/// Between two tries to reach a worker, and how long is tried. A worker that is gone loses the attempt sooner than that.
const AGAIN: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at an attempt that has not begun.
const PAUSE: Duration = Duration::from_millis(20);

/// Reads a log for one client.
struct Reader {
    /// Not the whole node: that would keep the log open for as long as somebody reads.
    state: SharedState,
    contact: Arc<Contact>,
    parts: EngineParts,
    /// The way to workers.
    dial: Dial,
    run: RunId,
    wanted: Wanted,
    /// Bytes that the client has.
    offset: u64,
    out: mpsc::Sender<Result<v1::LogChunk, Status>>,
    _counted: Held,
}

/// The client is gone.
struct Gone;

/// Why a part of the way ends.
enum End {
    /// All was told.
    Whole,
    /// Something has changed: look again where the log is.
    Moved,
    /// It cannot be read from here for now.
    Unreachable(String),
}

/// The log of an attempt from an offset on.
pub(super) fn chunks(
    node: &Node,
    engine: &Engine,
    run: RunId,
    request: &v1::ReadLogRequest,
) -> Result<Chunks, Status> {
    let wanted = {
        let applying = node.state().read();
        let known = applying.state.run(run).ok_or_else(|| unknown(run))?;
        wanted(known, request)?
    };
    Ok(begin(node, engine, run, wanted, request.offset))
}

/// The whole log of an attempt, to its end.
pub(super) fn follow(node: &Node, engine: &Engine, run: RunId, wanted: Wanted) -> Chunks {
    begin(node, engine, run, wanted, 0)
}

fn begin(node: &Node, engine: &Engine, run: RunId, wanted: Wanted, offset: u64) -> Chunks {
    let (out, pieces) = mpsc::channel(AHEAD);
    let (parts, dial) = (engine.parts().clone(), engine.seat().dial().clone());
    let (state, contact) = (node.state().clone(), Arc::clone(node.contact()));
    let _counted = engine.metrics().log_reader();
    let reader = Reader { state, contact, parts, dial, run, wanted, offset, out, _counted };
    tokio::spawn(reader.read());
    Box::pin(ReceiverStream::new(pieces))
}

impl Reader {
    async fn read(mut self) {
        let told = self.tell().await;
        if let Ok(Err(status)) = told {
            // The client may be gone.
            let _ = self.out.send(Err(status)).await;
        }
    }

    async fn tell(&mut self) -> Result<Result<(), Status>, Gone> {
        let mut unreachable_since = None;
        let mut applied = self.state.watch();
        loop {
            applied.mark_unchanged();
            if self.wanted.follow && self.contact.lost().is_some() {
                return Ok(Err(cut_off()));
            }
            let place = match self.place() {
                Ok(place) => place,
                Err(status) => return Ok(Err(status)),
            };
            let before = self.offset;
            let end = match place {
                Place::NotYet if self.wanted.follow => self.wait(&mut applied).await?,
                Place::NotYet => return Ok(Ok(())),
                Place::Worker { key, address } => self.relay(key, address).await?,
                Place::Store { kept, function } => match stored(&self.parts, kept, function).await {
                    Ok(log) => return self.tell_stored(log).await,
                    Err(status) => return Ok(Err(status)),
                },
            };
            match end {
                End::Whole => return Ok(Ok(())),
                End::Moved => unreachable_since = None,
                End::Unreachable(why) => {
                    let since = *unreachable_since.get_or_insert_with(tokio::time::Instant::now);
                    if self.offset != before {
                        unreachable_since = None;
                    } else if !self.wanted.follow || since.elapsed() > PATIENCE {
                        return Ok(Err(Status::unavailable(format!("the log cannot be read now: {why}"))));
                    }
                    self.sleep(AGAIN).await?;
                }
            }
        }
    }

    fn place(&self) -> Result<Place, Status> {
        let applying = self.state.read();
        let run = applying.state.run(self.run).ok_or_else(|| unknown(self.run))?;
        place(&applying.state, run, self.wanted)
    }

    /// Until something was applied, or nothing would be.
    async fn wait(&self, applied: &mut watch::Receiver<u64>) -> Result<End, Gone> {
        tokio::select! {
            changed = applied.changed() => if changed.is_err() {
                return Ok(End::Unreachable("this coordinator takes no part any more".to_owned()));
            },
            () = self.contact.until_lost() => return Ok(End::Moved),
            () = self.out.closed() => return Err(Gone),
        }
        self.sleep(PAUSE).await?;
        Ok(End::Moved)
    }

    async fn sleep(&self, time: Duration) -> Result<(), Gone> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.out.closed() => Err(Gone),
        }
    }

    async fn send(&mut self, chunk: v1::LogChunk) -> Result<(), Gone> {
        self.offset = chunk.offset + chunk.data.len() as u64;
        self.out.send(Ok(chunk)).await.map_err(|_| Gone)
    }
}
