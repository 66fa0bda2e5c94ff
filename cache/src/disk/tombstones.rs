//! What was evicted: so that a miss can be told from a change.
//!
//! `gc/tombstones` is a row of records of 48 bytes, the newest last: function (1 byte), hash of the action (32),
//! time in seconds since the epoch (8, little-endian), checksum (7, the start of BLAKE3 of the rest). Only the
//! collector writes, under its lock. A damaged record is skipped.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cullet_digest::{Digest, DigestFunction};

use super::store::{Disk, DiskStore};
use crate::StoreError;

const RECORD: usize = 48;
const BODY: usize = 41;

/// 3 MiB: more actions than anybody asks about, in a file that is read in a millisecond.
const MOST: usize = 1 << 16;

/// An evicted result.
pub(super) struct Tombstone {
    function: DigestFunction,
    hash: [u8; 32],
    time_s: u64,
}

impl Tombstone {
    pub(super) fn now(function: DigestFunction, hash: [u8; 32]) -> Self {
        let time_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        Self { function, hash, time_s }
    }

    fn encode(&self) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        record[0] = code(self.function);
        record[1..33].copy_from_slice(&self.hash);
        record[33..BODY].copy_from_slice(&self.time_s.to_le_bytes());
        let sum = checksum(&record[..BODY]);
        record[BODY..].copy_from_slice(&sum);
        record
    }
}

const fn code(function: DigestFunction) -> u8 {
    match function {
        DigestFunction::Blake3 => 9,
        DigestFunction::Sha256 => 1,
    }
}

fn checksum(body: &[u8]) -> [u8; RECORD - BODY] {
    let digest = DigestFunction::Blake3.digest(body);
    let mut sum = [0; RECORD - BODY];
    sum.copy_from_slice(&digest.hash()[..RECORD - BODY]);
    sum
}

impl DiskStore {
    /// When the result of an action was evicted last, as far as that is remembered.
    pub fn tombstone(&self, action: &Digest) -> Result<Option<SystemTime>, StoreError> {
        let path = self.disk.layout.gc("tombstones");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", path, error)),
        };
        let records = bytes.as_chunks::<RECORD>().0;
        let found = records.iter().rev().find(|record| {
            record[0] == code(action.function())
                && record[1..33] == *action.hash()
                && record[BODY..] == checksum(&record[..BODY])
        });
        Ok(found.map(|record| {
            let mut time = [0; 8];
            time.copy_from_slice(&record[33..BODY]);
            UNIX_EPOCH + Duration::from_secs(u64::from_le_bytes(time))
        }))
    }
}

impl Disk {
    /// Remembers evictions. A failure is only told: the entries are gone either way.
    pub(super) fn bury(&self, tombstones: &[Tombstone]) {
        if tombstones.is_empty() {
            return;
        }
        if let Err(error) = self.try_bury(tombstones) {
            tracing::debug!(%error, "what was evicted could not be written down");
        }
    }

    fn try_bury(&self, tombstones: &[Tombstone]) -> io::Result<()> {
        let path = self.layout.gc("tombstones");
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        // A torn end is written over.
        let mut count = usize::try_from(file.metadata()?.len()).unwrap_or(0) / RECORD;
        if count + tombstones.len() > MOST {
            count = forget_older_half(&file, count)?;
        }
        let bytes: Vec<u8> = tombstones.iter().flat_map(Tombstone::encode).collect();
        file.write_all_at(&bytes, (count * RECORD) as u64)
    }
}

/// Moves the newer half to the front. A crash in between leaves a mixture of sound records.
fn forget_older_half(file: &File, count: usize) -> io::Result<usize> {
    let kept = count.min(MOST / 2);
    let mut bytes = vec![0; kept * RECORD];
    file.read_exact_at(&mut bytes, ((count - kept) * RECORD) as u64)?;
    file.write_all_at(&bytes, 0)?;
    file.set_len(bytes.len() as u64)?;
    Ok(kept)
}
