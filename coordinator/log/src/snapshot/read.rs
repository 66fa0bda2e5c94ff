//! Reading a snapshot.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::SnapshotInfo;
use super::layout::{self, CHUNK_BYTES, CHUNK_HEADER_BYTES, FIXED_BYTES, Header};
use crate::disk::{self, Disk, DiskFile, OpenMode};
use crate::frame::{self, u32_at, u64_at};
use crate::types::LogId;
use crate::{Error, Identity, Result};

/// Reads a snapshot chunk by chunk. It stays readable when newer ones push its file out.
pub struct SnapshotReader {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    len: u64,
    last: LogId,
    meta: Bytes,
    seed: u32,
    /// Where the next chunk begins.
    at: u64,
    chunks: u64,
    data_bytes: u64,
    ended: bool,
}

impl SnapshotReader {
    /// Reads the header.
    pub(super) fn open(disk: &dyn Disk, path: &Path, identity: Identity, index: u64) -> Result<Self> {
        let file = disk.open(path, OpenMode::Read).map_err(Error::io("open", path))?;
        let len = file.len().map_err(Error::io("measure", path))?;
        let damaged = |problem| Error::corrupt(path, 0, 0, problem);
        let read = |len| read(&*file, path, 0, len);
        if len < FIXED_BYTES as u64 {
            return Err(damaged("it is shorter than its header"));
        }
        let header_len = layout::header_len(&read(FIXED_BYTES)?).filter(|header| *header as u64 <= len);
        let header_len = header_len.ok_or_else(|| damaged("the header's lengths are wrong"))?;
        let header = layout::parse_header(&read(header_len)?);
        let Header { version, identity: of, last, meta, seed } =
            header.ok_or_else(|| damaged("the header's checksum is wrong"))?;
        if version != frame::VERSION {
            return Err(Error::Version { path: path.to_owned(), found: version, supported: frame::VERSION });
        }
        if of != identity || last.index != index {
            return Err(damaged("it is another node's, or has another one's name"));
        }
        let path = path.to_owned();
        let (at, chunks, data_bytes) = (header_len as u64, 0, 0);
        Ok(Self { file, path, len, last, meta, seed, at, chunks, data_bytes, ended: false })
    }

    /// The last entry whose effect is in it.
    pub fn last(&self) -> &LogId {
        &self.last
    }

    /// What the writer said about it.
    pub fn meta(&self) -> &Bytes {
        &self.meta
    }

    /// The next piece of the data, at most 1 MiB; None at the end.
    ///
    /// # Errors
    /// [`Error::Corrupt`], or what the disk says.
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let header = self.read(self.at, CHUNK_HEADER_BYTES)?;
        let (len, checksum) = (u32_at(&header, 0), u32_at(&header, 4));
        let is_end = len == 0;
        let data_len = if is_end { 8 } else { len as usize };
        if data_len > CHUNK_BYTES {
            return Err(self.damaged("a chunk's length is wrong"));
        }
        let data = self.read(self.at + CHUNK_HEADER_BYTES as u64, data_len)?;
        if checksum != layout::checksum(self.seed, self.chunks, len, &data) {
            return Err(self.damaged("a chunk's checksum is wrong"));
        }
        let next = self.at + (CHUNK_HEADER_BYTES + data_len) as u64;
        if !is_end {
            self.at = next;
            self.chunks += 1;
            self.data_bytes += u64::from(len);
            return Ok(Some(data));
        }
        if u64_at(&data, 0) != self.data_bytes || next != self.len {
            return Err(self.damaged("it does not end where it says"));
        }
        self.ended = true;
        Ok(None)
    }

    /// Reads all that is left, to see that it is good.
    pub(super) fn verify(mut self) -> Result<SnapshotInfo> {
        while self.next_chunk()?.is_some() {}
        let Self { last, meta, data_bytes, path, .. } = self;
        // The header's buffer is as small as they are.
        Ok(SnapshotInfo { last, meta, data_bytes, path })
    }

    fn read(&self, at: u64, len: usize) -> Result<Bytes> {
        if at + len as u64 > self.len {
            return Err(self.damaged("a chunk is cut off"));
        }
        read(&*self.file, &self.path, at, len)
    }

    fn damaged(&self, problem: &'static str) -> Error {
        Error::corrupt(&self.path, self.at, self.chunks, problem)
    }
}

fn read(file: &dyn DiskFile, path: &Path, at: u64, len: usize) -> Result<Bytes> {
    let mut bytes = vec![0; len];
    disk::read_exact(file, &mut bytes, at).map_err(Error::io("read", path))?;
    Ok(bytes.into())
}
