//! Small blobs of a directory, written ahead: one log for many of them, and one wait for the disk. Files are made of them when there
//! is time.
//!
//! `<store>/wal/<16 hex>.log` is written by one process, which holds a lock (`flock`) on it from before it has that name until after
//! it is removed. Records are appended and nothing else; see [`record`]. Everybody who uses the directory reads all logs: a blob
//! whose file is not there may be in one. Who finds a log that nobody has locked makes files of what is in it, and removes it.
//!
//! **What is guaranteed.** What is acknowledged is in a log that was synced, or in a file that was; the log goes after the files that
//! were made of it were synced. A torn record, or one that holds other bytes, is never made a file. What is not acknowledged may
//! become a file all the same, as for every write that fails late.
//!
//! Only blobs of at most [`crate::blob::SMALL`] bytes come here, and only where [`super::ObjectOptions::write_ahead`] says so; what does not fit
//! within [`Limits`], or cannot be locked, becomes a file at once.

mod filesystem;
mod home;
mod log;
mod orphans;
mod others;
mod own;
mod record;
mod settle;
mod settler;
mod writer;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cullet_digest::Digest;

use self::home::Home;
use self::others::Others;
use self::own::Own;
use super::ObjectOptions;
use super::directories::Directories;
use crate::StoreError;
use crate::blob::is_small;

pub(super) use self::own::Limits;

/// Blobs that are handed over together at most, and their bytes.
const PIECE: usize = 256;
const PIECE_BYTES: u64 = 1 << 20;

/// The logs of a directory.
#[derive(Debug)]
pub(super) struct Logs {
    home: Arc<Home>,
    others: Arc<Others>,
    own: Option<Arc<Own>>,
}

impl Drop for Logs {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            own.close();
        }
    }
}

impl Logs {
    /// Those of the directory `root`, which is called `place` in messages. What dead processes have left is looked for at once where
    /// logs are written.
    ///
    /// # Errors
    /// The directory cannot be read, or no thread can be had.
    pub(super) fn open(
        (root, place): (&Path, &str),
        directories: &Arc<Directories>,
        options: &ObjectOptions,
        limits: Limits,
    ) -> Result<Self, StoreError> {
        let failed = |error| StoreError::io("open", root, error);
        let home = Home::new(root, Arc::clone(directories), !options.read_only).map_err(failed)?;
        let home = Arc::new(home);
        let others = Arc::new(Others::new(&home));
        let own = (options.write_ahead && home.writable)
            .then(|| start(&home, &others, place, limits))
            .transpose()
            .map_err(failed)?;
        Ok(Self { home, others, own })
    }

    /// Whether a blob may be in a log.
    pub(super) fn may_hold(digest: &Digest) -> bool {
        is_small(digest)
    }

    /// Whether blobs are written into logs by this process.
    pub(super) fn are_written(&self) -> bool {
        self.own.is_some()
    }

    /// Whether a log of this process has the blob.
    pub(super) fn own_has(&self, digest: &Digest) -> bool {
        self.own.as_ref().is_some_and(|own| own.has(digest))
    }

    /// Writes blobs, whose bytes were checked, into a log. They are there for everybody then, and survive a power cut. Those that are
    /// given back were not written, and belong into files.
    ///
    /// # Errors
    /// The log cannot be written; some of them may be there.
    pub(super) async fn put(&self, blobs: Vec<(Digest, Bytes)>) -> Result<Vec<(Digest, Bytes)>, StoreError> {
        let Some(own) = &self.own else { return Ok(blobs) };
        let (small, mut left): (Vec<_>, Vec<_>) =
            blobs.into_iter().partition(|(digest, _)| Self::may_hold(digest));
        let (mut waits, until) = (Vec::new(), Instant::now() + own.limits.patience);
        for piece in pieces(small.into_iter().filter(|(digest, _)| !own.has(digest))) {
            match own.push_until(piece, until).await {
                Ok(wait) => waits.push(wait),
                Err(piece) => left.extend(piece),
            }
        }
        let ended = |error| StoreError::remote("store in", &own.place, error);
        for wait in waits {
            left.extend(wait.await.map_err(ended)??);
        }
        Ok(left)
    }

    /// Learns of what others have written until `since`. Whether there are logs, or may have been just now. Blocking.
    pub(super) fn look(&self, since: Instant) -> io::Result<bool> {
        self.others.look(|id| self.own.as_ref().is_some_and(|own| own.has_log(id)), since)
    }

    /// Whether a log has the blob, as far as is known since the last look.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.own_has(digest) || self.others.has(digest)
    }

    /// The bytes of a blob that is in a log, as far as is known since the last look. Not checked. Blocking.
    pub(super) fn read(&self, digest: &Digest) -> io::Result<Option<Bytes>> {
        if let Some(own) = &self.own
            && let Some(bytes) = own.read(digest)?
        {
            return Ok(Some(bytes));
        }
        self.others.read(digest)
    }

    /// Has the next look at the file of a blob be one at what is there now. Blocking.
    pub(super) fn look_anew(&self, digest: &Digest) {
        self.home.look_anew(digest);
    }

    /// Takes a blob for missing that is damaged in a log.
    pub(super) fn forget(&self, digest: &Digest) {
        if let Some(own) = &self.own {
            own.forget(digest);
        }
        self.others.forget(digest);
    }
}

/// Starts writing logs.
fn start(home: &Arc<Home>, others: &Arc<Others>, place: &str, limits: Limits) -> io::Result<Arc<Own>> {
    let own = Arc::new(Own::new(home, place, limits));
    own.start("log", Own::write_on)?;
    let others = Arc::clone(others);
    let settles = own.start("settle", move |own| {
        own.settle_on(|| {
            if let Err(error) = others.look(|id| own.has_log(id), Instant::now()) {
                tracing::debug!(%error, place = own.place, "logs of others cannot be looked for");
            }
        });
    });
    if settles.is_err() {
        own.close();
    }
    settles.map(|()| own)
}

/// Blobs in pieces that are written each at once.
fn pieces(blobs: impl Iterator<Item = (Digest, Bytes)>) -> Vec<Vec<(Digest, Bytes)>> {
    let mut pieces: Vec<Vec<(Digest, Bytes)>> = Vec::new();
    let mut bytes = 0;
    for blob in blobs {
        let size = blob.0.size();
        match pieces.last_mut() {
            Some(piece) if piece.len() < PIECE && bytes + size <= PIECE_BYTES => {
                bytes += size;
                piece.push(blob);
            }
            _ => {
                bytes = size;
                pieces.push(vec![blob]);
            }
        }
    }
    pieces
}
