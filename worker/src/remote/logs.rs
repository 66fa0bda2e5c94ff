//! Logs of attempts for coordinators that pass them on.

use std::pin::Pin;
use std::sync::Arc;

use cullet_cache::LogCursor;
use cullet_proto::v1;
use cullet_proto::v1::attempt_logs_server::AttemptLogs;
use futures_util::stream::{Stream as Chunks, try_unfold};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response, Status};

use super::key::AttemptKey;
use super::registry::Registry;
use crate::Stream;
use crate::logs::{LogPiece, LogTape};

/// The most readers at a time. Each holds a piece of 64 KiB and what its connection buffers.
const MAX_READERS: usize = 256;

/// Serves the logs of attempts that run, or ended a moment ago.
#[derive(Debug)]
pub(super) struct Logs {
    registry: Arc<Registry>,
    readers: Arc<Semaphore>,
}

impl Logs {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { registry, readers: Arc::new(Semaphore::new(MAX_READERS)) }
    }
}

/// One reader. It is asked for the next piece when the last one is on its way, so it holds one at most.
struct Reader {
    tape: LogTape,
    cursor: LogCursor,
    follow: bool,
    _permit: OwnedSemaphorePermit,
}

#[tonic::async_trait]
impl AttemptLogs for Logs {
    type ReadAttemptLogStream = Pin<Box<dyn Chunks<Item = Result<v1::LogChunk, Status>> + Send>>;

    async fn read_attempt_log(
        &self,
        request: Request<v1::ReadAttemptLogRequest>,
    ) -> Result<Response<Self::ReadAttemptLogStream>, Status> {
        let v1::ReadAttemptLogRequest { attempt, offset, follow } = request.into_inner();
        let key = AttemptKey::from_wire(attempt).map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        let unknown = || Status::not_found(format!("this worker does not know {key}"));
        let tape = self.registry.log(key).ok_or_else(unknown)?;
        let permit = Arc::clone(&self.readers).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{MAX_READERS} logs are being read here; try again later"))
        })?;
        let reader = Reader { tape, cursor: LogCursor::at(offset), follow, _permit: permit };
        Ok(Response::new(Box::pin(try_unfold(reader, Reader::next))))
    }
}

impl Reader {
    async fn next(mut self) -> Result<Option<(v1::LogChunk, Self)>, Status> {
        match self.tape.next(&mut self.cursor, self.follow).await {
            Ok(piece) => Ok(piece.map(|piece| (chunk(piece), self))),
            Err(error) => Err(Status::unavailable(format!("the log cannot be read: {error}"))),
        }
    }
}

fn chunk(piece: LogPiece) -> v1::LogChunk {
    let stream = match piece.stream {
        Stream::Stdout => v1::log_chunk::Stream::Stdout,
        Stream::Stderr => v1::log_chunk::Stream::Stderr,
    };
    v1::LogChunk { offset: piece.offset, stream: stream.into(), data: piece.data }
}
