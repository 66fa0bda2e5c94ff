//! Snapshots of the state, between the log's files, the state machine and other coordinators.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use cullet_core::State;
use cullet_proto::raft::Frame;
use cullet_raft_log::{Log, SnapshotReader};
use futures_util::{Stream, StreamExt as _};
use openraft::alias::{SnapshotMetaOf, SnapshotOf};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::frame::Framing;
use super::removed::Removed;
use super::store::{other, wire_id};
use super::stored::{self, known};
use super::types::Types;

/// Chunks that are read ahead of the network, a megabyte each.
const AHEAD: usize = 4;

/// The most bytes that a state is read from, unpacked: of ten million steps that live and as many that are kept, the most that
/// a coordinator can be told to take, with three kilobytes for each. It is read as a stream.
const MAX_BYTES: u64 = 64 << 30;

/// Fields have their names in it, which are long and come again and again: this takes next to no time and leaves a tenth.
const COMPRESSION: i32 = 1;

/// What a snapshot holds besides what raft wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) state: State,
    /// Who was a member.
    pub(super) removed: Removed,
}

/// The snapshots in the log's directory.
#[derive(Clone)]
pub(super) struct Snapshots {
    log: Log,
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").finish_non_exhaustive()
    }
}

/// A snapshot on this node's disk. It can be read once, and stays readable when newer ones are made.
pub(super) struct SnapshotFile(Arc<Mutex<Option<SnapshotReader>>>);

impl fmt::Debug for SnapshotFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotFile").finish_non_exhaustive()
    }
}

impl SnapshotFile {
    fn new(reader: SnapshotReader) -> Self {
        Self(Arc::new(Mutex::new(Some(reader))))
    }

    fn take(&self) -> Result<SnapshotReader, cullet_raft_log::Error> {
        let reader = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        reader.ok_or(cullet_raft_log::Error::Closed)
    }

    /// Its content as messages. Where it cannot be read any further the stream ends early, and the receiver, which
    /// checks the length, refuses it.
    pub(super) fn frames(&self, framing: Framing) -> impl Stream<Item = Frame> + Send + 'static {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let reader = self.take();
        tokio::spawn(async move {
            let Ok(mut reader) = reader else { return };
            loop {
                let read = blocking(move || reader.next_chunk().map(|chunk| (reader, chunk)).map_err(other));
                let Ok((rest, chunk)) = read.await else { return };
                reader = rest;
                // An empty message says that it is whole.
                let is_whole = chunk.is_none();
                if sender.send(chunk.unwrap_or_else(Bytes::new)).await.is_err() || is_whole {
                    return;
                }
            }
        });
        ReceiverStream::new(receiver).map(move |chunk| framing.wrap(chunk))
    }
}

impl Snapshots {
    pub(super) const fn new(log: Log) -> Self {
        Self { log }
    }

    /// The newest one.
    pub(super) async fn newest(&self) -> io::Result<Option<SnapshotOf<Types, SnapshotFile>>> {
        let log = self.log.clone();
        let reader = blocking(move || log.read_snapshot().map_err(other)).await?;
        let Some(reader) = reader else { return Ok(None) };
        let meta = stored::decode(reader.meta())?;
        Ok(Some(SnapshotOf::<Types, SnapshotFile> { meta, snapshot: SnapshotFile::new(reader) }))
    }

    /// Writes one.
    pub(super) async fn write(&self, meta: &SnapshotMetaOf<Types>, kept: Kept) -> io::Result<SnapshotFile> {
        let log = self.log.clone();
        let (last, meta) = head(meta)?;
        blocking(move || {
            let mut writer = Chunks(log.write_snapshot(last, meta).map_err(other)?);
            encode(&kept, &mut writer)?;
            writer.0.finish().map_err(other)?;
            open(&log)
        })
        .await
    }

    /// Stores one that another coordinator sends. It is complete and durable when this returns.
    pub(super) async fn receive<S>(
        &self,
        meta: &SnapshotMetaOf<Types>,
        mut frames: S,
        framing: &Framing,
    ) -> Result<SnapshotFile, Status>
    where
        S: Stream<Item = Result<Frame, Status>> + Unpin,
    {
        let refuse =
            |error: io::Error| Status::unavailable(format!("the snapshot cannot be stored: {error}"));
        let (last, meta) = head(meta).map_err(refuse)?;
        let log = self.log.clone();
        let begin = {
            let log = log.clone();
            move || log.write_snapshot(last, meta).map_err(other)
        };
        let mut writer = blocking(begin).await.map_err(refuse)?;
        while let Some(frame) = frames.next().await {
            let chunk = framing.open(&frame?)?.clone();
            if chunk.is_empty() {
                let finish = move || writer.finish().map_err(other).and_then(|_| open(&log));
                return blocking(finish).await.map_err(refuse);
            }
            writer = blocking(move || writer.write(&chunk).map_err(other).map(|()| writer))
                .await
                .map_err(refuse)?;
        }
        Err(Status::aborted("the snapshot ended before it was whole"))
    }

    /// What is in it.
    pub(super) async fn install(&self, file: &SnapshotFile) -> io::Result<Kept> {
        let reader = file.take().map_err(other)?;
        blocking(move || decode(Content { reader, chunk: Bytes::new() })).await
    }
}

fn head(meta: &SnapshotMetaOf<Types>) -> io::Result<(cullet_raft_log::LogId, Bytes)> {
    let last = meta.last_log_id.ok_or_else(|| io::Error::other("nothing was applied that could be kept"))?;
    Ok((wire_id(&last)?, stored::encode(meta)?.into()))
}

fn open(log: &Log) -> io::Result<SnapshotFile> {
    let reader = log.read_snapshot().map_err(other)?;
    reader.map(SnapshotFile::new).ok_or_else(|| io::Error::other("the snapshot is gone"))
}

/// The version that has to be known, and what is kept, with the names of its fields: what a coordinator of an older version
/// does not know is left out, and what it does not find has its default; see [`cullet_core::NEWEST_VERSION`].
fn encode(kept: &Kept, writer: &mut impl Write) -> io::Result<()> {
    writer.write_all(&kept.state.version().to_le_bytes())?;
    let packed = zstd::Encoder::new(io::BufWriter::with_capacity(1 << 16, writer), COMPRESSION)?;
    let mut buffered = io::BufWriter::with_capacity(1 << 16, packed);
    let mut serializer = rmp_serde::Serializer::new(&mut buffered).with_struct_map();
    kept.serialize(&mut serializer).map_err(io::Error::other)?;
    buffered.into_inner().map_err(io::IntoInnerError::into_error)?.finish()?.flush()
}

fn decode(mut reader: impl Read) -> io::Result<Kept> {
    let mut version = [0; 4];
    reader.read_exact(&mut version)?;
    known(u32::from_le_bytes(version), "the snapshot")?;
    let mut unpacked = io::BufReader::new(zstd::Decoder::new(reader)?.take(MAX_BYTES));
    let kept = rmp_serde::from_read(&mut unpacked).map_err(|error| {
        io::Error::other(format!("the snapshot cannot be read, or has more than {MAX_BYTES} bytes: {error}"))
    })?;
    // Only at its end is it known to be whole.
    match io::copy(&mut unpacked, &mut io::sink())? {
        0 => Ok(kept),
        more => Err(io::Error::other(format!("{more} bytes after the state in the snapshot"))),
    }
}

/// The log's reader as a reader of bytes.
struct Content {
    reader: SnapshotReader,
    chunk: Bytes,
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            self.chunk = self.reader.next_chunk().map_err(other)?.unwrap_or_default();
        }
        let length = buffer.len().min(self.chunk.len());
        buffer[..length].copy_from_slice(&self.chunk.split_to(length));
        Ok(length)
    }
}

/// The log's writer as a writer of bytes.
struct Chunks(cullet_raft_log::SnapshotWriter);

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    crate::blocking::blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use cullet_core::{LogCommand, NEWEST_VERSION};

    use super::*;

    #[test]
    fn a_state_is_read_back_unless_it_is_of_a_version_that_is_not_known() {
        let mut state = State::default();
        state.apply(&LogCommand::Tick { at: 7 });
        let kept = Kept { state, removed: Removed::default() };
        let mut bytes = Vec::new();
        encode(&kept, &mut bytes).unwrap();
        assert_eq!(decode(&bytes[..]).unwrap(), kept);
        assert!(decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode(&bytes[..2]).is_err());

        bytes[..4].copy_from_slice(&(NEWEST_VERSION + 1).to_le_bytes());
        let refused = decode(&bytes[..]).unwrap_err().to_string();
        let expected = format!("the snapshot needs version {}", NEWEST_VERSION + 1);
        assert!(refused.starts_with(&expected), "{refused}");
    }
}
