//! Writing a snapshot.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::SnapshotInfo;
use super::layout::{self, CHUNK_BYTES, CHUNK_HEADER_BYTES};
use crate::disk::{self, DiskFile, OpenMode};
use crate::frame::u32_at;
use crate::shared::{Shared, lock};
use crate::types::LogId;
use crate::{Error, Result, names};

/// A snapshot that is being written. Dropped before it is finished, it leaves nothing.
///
/// Its calls write to the disk themselves. [`Error::Full`] ends this snapshot and nothing else; any other error of the
/// disk ends the log.
pub struct SnapshotWriter {
    shared: Arc<Shared>,
    file: Arc<dyn DiskFile>,
    info: SnapshotInfo,
    serial: u64,
    unfinished: PathBuf,
    /// Where the next chunk goes.
    at: u64,
    chunks: u64,
    seed: u32,
    /// A chunk that is filling up, room for its header left.
    buffer: Vec<u8>,
    finished: bool,
}

impl SnapshotWriter {
    pub(crate) fn begin(shared: Arc<Shared>, last: LogId, meta: Bytes) -> Result<Self> {
        lock(&shared.state).check_open()?;
        let snapshots = &shared.snapshots;
        let header = layout::header(snapshots.identity, &last, &meta)?;
        let serial = snapshots.next_serial();
        let path = names::snapshot(&snapshots.dir, last.index, serial);
        let unfinished = names::unfinished(&path);
        let file = snapshots.disk.open(&unfinished, OpenMode::Create);
        let file =
            file.map_err(Error::writing("create", &unfinished)).map_err(|error| fatal(&shared, error))?;
        let mut writer = Self {
            file,
            info: SnapshotInfo { last, meta, data_bytes: 0, path },
            serial,
            unfinished,
            at: 0,
            chunks: 0,
            seed: u32_at(&header, header.len() - 4),
            buffer: vec![0; CHUNK_HEADER_BYTES],
            finished: false,
            shared,
        };
        writer.put(&header)?;
        Ok(writer)
    }

    /// Appends data, in pieces of any size.
    ///
    /// # Errors
    /// [`Error::Full`], or the log's failure, which it may be the cause of.
    pub fn write(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let room = CHUNK_HEADER_BYTES + CHUNK_BYTES - self.buffer.len();
            let (now, later) = data.split_at(room.min(data.len()));
            self.buffer.extend_from_slice(now);
            data = later;
            if self.buffer.len() == CHUNK_HEADER_BYTES + CHUNK_BYTES {
                self.put_chunk()?;
            }
        }
        Ok(())
    }

    /// Makes it durable and the newest, and removes all but the newest two.
    ///
    /// # Errors
    /// [`Error::StaleSnapshot`] where there is a newer one, [`Error::Full`], or the log's failure.
    pub fn finish(mut self) -> Result<SnapshotInfo> {
        if self.buffer.len() > CHUNK_HEADER_BYTES {
            self.put_chunk()?;
        }
        let total = self.info.data_bytes.to_le_bytes();
        let mut end = vec![0; 4];
        end.extend(layout::checksum(self.seed, self.chunks, 0, &total).to_le_bytes());
        end.extend(total);
        self.put(&end)?;
        lock(&self.shared.state).check_open()?;
        let synced = self.file.sync_data().map_err(Error::io("sync", &self.unfinished));
        synced.map_err(|error| fatal(&self.shared, error))?;
        let installed = self.shared.snapshots.install(&self.info, self.serial, &self.unfinished);
        self.finished = installed.is_ok();
        installed.map_err(|error| fatal(&self.shared, error))?;
        Ok(self.info.clone())
    }

    fn put_chunk(&mut self) -> Result<()> {
        let mut chunk = std::mem::take(&mut self.buffer);
        let len = (chunk.len() - CHUNK_HEADER_BYTES) as u32;
        let checksum = layout::checksum(self.seed, self.chunks, len, &chunk[CHUNK_HEADER_BYTES..]);
        chunk[..4].copy_from_slice(&len.to_le_bytes());
        chunk[4..8].copy_from_slice(&checksum.to_le_bytes());
        self.put(&chunk)?;
        self.chunks += 1;
        self.info.data_bytes += u64::from(len);
        chunk.truncate(CHUNK_HEADER_BYTES);
        self.buffer = chunk;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        lock(&self.shared.state).check_open()?;
        let written = disk::write_all(&*self.file, bytes, self.at);
        let written = written.map_err(Error::writing("write", &self.unfinished));
        written.map_err(|error| fatal(&self.shared, error))?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.finished {
            // The next opening removes it otherwise.
            let _ = self.shared.snapshots.disk.remove(&self.unfinished);
        }
    }
}

/// An error of the disk ends the log; others are the caller's.
fn fatal(shared: &Shared, error: Error) -> Error {
    if matches!(error, Error::Io { .. }) {
        shared.fail(&error);
    }
    error
}
