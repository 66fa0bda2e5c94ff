//! The log of an attempt that has ended, from the store.

use std::io::Read;

use cullet_cache::{ActionResult, Blob, KnownLog, LogCursor, LogStream, NextBytes, StoreError, Stream};
use cullet_digest::DigestFunction;
use cullet_proto::v1;
use tonic::Status;

use super::{Gone, Reader};
use crate::engine::EngineParts;
use crate::resolve::describe;
use crate::services::events::read_detail;
use crate::services::log_source::Kept;

/// Bytes of a piece.
const PIECE: u64 = 64 << 10;

/// Both streams, open.
pub(super) struct StoredLog {
    runs: Vec<u32>,
    stdout: OneStream,
    stderr: OneStream,
}

/// One of them, read from its start to its end.
struct OneStream {
    from: Option<Box<dyn Read + Send>>,
    len: u64,
    /// How much of it was read.
    read: u64,
}

/// Opens the log that was kept of an attempt, or the one in the result under a key, as runs of a scope find it.
pub(super) async fn stored(
    parts: &EngineParts,
    Kept { detail, action }: Kept,
    function: DigestFunction,
) -> Result<StoredLog, Status> {
    let result = match detail {
        Some(detail) => {
            let kept = read_detail(&*parts.blobs, &detail).await.map_err(|error| lost(&error))?;
            (!kept.result.is_empty()).then(|| ActionResult::decode(function, kept.result))
        }
        None => None,
    };
    let result = match (result, action) {
        (Some(decoded), _) => decoded.map_err(|error| Status::data_loss(error.to_string()))?,
        (None, Some((scope, action))) => {
            let found = parts.results.of(&scope).actions.get(&action).await.map_err(|error| lost(&error))?;
            found.ok_or_else(|| Status::not_found("the log is not in the store any more"))?
        }
        (None, None) => return Err(Status::not_found("the attempt left no log")),
    };
    let stdout = open(parts, result.stdout).await?;
    let stderr = open(parts, result.stderr).await?;
    Ok(StoredLog { runs: result.interleaving, stdout, stderr })
}

fn lost(error: &StoreError) -> Status {
    match error {
        StoreError::NotFound { .. } | StoreError::Mismatch { .. } => {
            Status::not_found("the log is not in the store any more")
        }
        other => Status::unavailable(format!("the log cannot be read: {}", describe(other))),
    }
}

async fn open(parts: &EngineParts, stream: LogStream) -> Result<OneStream, Status> {
    let blob = match stream {
        LogStream::Inline(bytes) => Blob::Bytes(bytes),
        LogStream::Blob(digest) => parts.blobs.get(&digest).await.map_err(|error| lost(&error))?,
    };
    Ok(OneStream { len: blob.len(), from: Some(blob.into_reader()), read: 0 })
}

impl OneStream {
    /// The bytes from there; what lies before is passed over.
    async fn read(&mut self, from: u64, len: u64) -> Result<Vec<u8>, Status> {
        let Some(mut reader) = self.from.take() else { return Err(Status::internal("the log is not open")) };
        let skip = from.saturating_sub(self.read);
        let read = crate::blocking::blocking(move || {
            std::io::copy(&mut (&mut reader).take(skip), &mut std::io::sink())?;
            let mut bytes = Vec::new();
            (&mut reader).take(len).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>((reader, bytes))
        });
        let failed = |error: String| Status::unavailable(format!("the log cannot be read: {error}"));
        let read = read.await.map_err(|error| failed(error.to_string()))?;
        let (reader, bytes) = read.map_err(|error| failed(error.to_string()))?;
        self.from = Some(reader);
        self.read = from + bytes.len() as u64;
        Ok(bytes)
    }
}

impl Reader {
    /// Sends the rest of the log.
    pub(super) async fn tell_stored(&mut self, mut log: StoredLog) -> Result<Result<(), Status>, Gone> {
        let runs = std::mem::take(&mut log.runs);
        let known = KnownLog::whole(&runs, log.stdout.len, log.stderr.len);
        let mut cursor = LogCursor::at(self.offset);
        while let NextBytes::Here { stream, from, len } = cursor.next(known) {
            let (source, wire) = match stream {
                Stream::Stdout => (&mut log.stdout, v1::log_chunk::Stream::Stdout),
                Stream::Stderr => (&mut log.stderr, v1::log_chunk::Stream::Stderr),
            };
            let data = match source.read(from, len.min(PIECE)).await {
                Ok(data) if data.is_empty() => {
                    return Ok(Err(Status::data_loss("the log is shorter than it was")));
                }
                Ok(data) => data,
                Err(status) => return Ok(Err(status)),
            };
            let offset = cursor.offset();
            cursor.advance(stream, data.len() as u64);
            self.send(v1::LogChunk { offset, stream: wire.into(), data: data.into() }).await?;
        }
        Ok(Ok(()))
    }
}
