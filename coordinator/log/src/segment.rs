//! One file of the log.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{self, Disk, DiskFile, OpenMode};
use crate::durable::Durable;
use crate::frame::{self, FrameHeader, u32_at, u64_at};
use crate::record::{self, Kind};
use crate::{ClusterId, Error, Identity, Result, names};

const MAGIC: [u8; 8] = *b"CLTRLOG\n";
/// Bytes before the first frame.
pub(crate) const HEADER_BYTES: usize = 64;

/// An open segment.
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Checksum of its header, where all its other checksums begin.
    pub(crate) salt: u32,
    /// The next index when it was begun.
    pub(crate) next: u64,
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("number", &self.number)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Segment {
    /// Makes a segment that begins with what earlier ones said, and returns its length. It is durable.
    pub(crate) fn create(
        disk: &dyn Disk,
        dir: &Path,
        identity: Identity,
        number: u64,
        carried: &Durable,
    ) -> Result<(Self, u64)> {
        let path = names::segment(dir, number);
        let mut bytes = header(identity, number, carried.next()).to_vec();
        let salt = u32_at(&bytes, HEADER_BYTES - 4);
        bytes.extend(first_frame(carried, salt));
        let file = write_whole(disk, dir, &path, &bytes)?;
        Ok((Self { number, path, file, salt, next: carried.next() }, bytes.len() as u64))
    }

    /// Opens a segment whose header is sound and of this node.
    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        identity: Identity,
        number: u64,
        mode: OpenMode,
    ) -> Result<Self> {
        let path = names::segment(dir, number);
        let file = disk.open(&path, mode).map_err(Error::io("open", &path))?;
        if mode == OpenMode::Write {
            // What an earlier process wrote and did not sync must not be believed before it is durable, and what it
            // failed to sync must not be believed at all.
            file.sync_data().map_err(Error::io("sync", &path))?;
            file.forget_cached().map_err(Error::io("read afresh", &path))?;
        }
        let damaged = |problem| Error::corrupt(&path, 0, 0, problem);
        let mut bytes = [0; HEADER_BYTES];
        if file.len().map_err(Error::io("measure", &path))? < HEADER_BYTES as u64 {
            return Err(damaged("it is shorter than its header"));
        }
        disk::read_exact(&*file, &mut bytes, 0).map_err(Error::io("read", &path))?;
        let salt = u32_at(&bytes, HEADER_BYTES - 4);
        if bytes[..8] != MAGIC || salt != crc32c::crc32c(&bytes[..HEADER_BYTES - 4]) {
            return Err(damaged("the header's checksum is wrong"));
        }
        let version = u32_at(&bytes, 8);
        if version != frame::VERSION {
            return Err(Error::Version { path, found: version, supported: frame::VERSION });
        }
        let next = u64_at(&bytes, 48);
        if bytes != header(identity, number, next) {
            return Err(damaged("it is another node's, or has another one's name"));
        }
        Ok(Self { number, path, file, salt, next })
    }
}

fn header(identity: Identity, number: u64, next: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let ClusterId(cluster) = identity.cluster;
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&frame::VERSION.to_le_bytes());
    bytes[16..32].copy_from_slice(&cluster);
    bytes[32..40].copy_from_slice(&identity.node.to_le_bytes());
    bytes[40..48].copy_from_slice(&number.to_le_bytes());
    bytes[48..56].copy_from_slice(&next.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
    bytes[HEADER_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Everything of earlier segments but the entries.
fn first_frame(carried: &Durable, salt: u32) -> Vec<u8> {
    let mut bytes = vec![0; frame::HEADER_BYTES];
    let mut records = 0;
    let ids = [(Kind::PurgeTo, &carried.purged), (Kind::Committed, &carried.committed)];
    for (kind, id) in ids.into_iter().filter(|(_, id)| id.is_some()) {
        record::encode(&mut bytes, salt, kind, id.as_ref(), &[]);
        records += 1;
    }
    if let Some(vote) = &carried.vote {
        record::encode(&mut bytes, salt, Kind::Vote, None, vote);
        records += 1;
    }
    finish_frame(&mut bytes, HEADER_BYTES as u64, records, 0, salt);
    bytes
}

/// Fills in the header, for which room was left, of a frame that goes to `offset` of its file.
pub(crate) fn finish_frame(bytes: &mut [u8], offset: u64, records: u32, sequence: u64, salt: u32) {
    let (header, body) = bytes.split_at_mut(frame::HEADER_BYTES);
    let zero_sectors = frame::zero_sectors(body, offset + frame::HEADER_BYTES as u64);
    header.copy_from_slice(
        &FrameHeader { body: body.len() as u32, records, zero_sectors, sequence }.encode(salt),
    );
}

/// A file that is there whole and durable, or not at all.
pub(crate) fn write_whole(
    disk: &dyn Disk,
    dir: &Path,
    path: &Path,
    bytes: &[u8],
) -> Result<Arc<dyn DiskFile>> {
    let unfinished = names::unfinished(path);
    let write = || {
        let file = disk.open(&unfinished, OpenMode::Create).map_err(Error::writing("create", &unfinished))?;
        disk::write_all(&*file, bytes, 0).map_err(Error::writing("write", &unfinished))?;
        Ok(file)
    };
    let file = write().inspect_err(|_| {
        // The next attempt begins with an empty file, and the next opening removes it.
        let _ = disk.remove(&unfinished);
    })?;
    file.sync_data().map_err(Error::io("sync", &unfinished))?;
    disk.rename(&unfinished, path).map_err(Error::writing("rename", &unfinished))?;
    disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
    Ok(file)
}
