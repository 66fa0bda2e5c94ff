//! Versions that survive a power cut.
//!
//! A version is published without waiting for the disk, because that would take seconds of a step. Until it is known to be
//! there, it is one of this start of the machine only: after the next start its files may be in pieces.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use super::place::Place;
use super::record::{self, Record, boot};
use super::{VolumeError, Volumes};

impl Volumes {
    /// Writes versions to the disk that are not there yet, whichever process made them, unless this one has none since it
    /// did so last. `sync` writes the file system of a directory, or returns false if that is better done later: what is left is
    /// for the next time, or for the next process. Blocks for as long as `sync` does.
    ///
    /// # Errors
    /// The disk, or the directory of volumes.
    pub fn settle(&self, sync: impl FnOnce(&Path) -> io::Result<bool>) -> Result<(), VolumeError> {
        if !self.0.is_unsettled.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let settled = self.settle_all(sync);
        if !matches!(settled, Ok(true)) {
            self.0.is_unsettled.store(true, Ordering::Relaxed);
        }
        settled.map(drop)
    }

    /// Whether nothing is left.
    fn settle_all(&self, sync: impl FnOnce(&Path) -> io::Result<bool>) -> Result<bool, VolumeError> {
        let boot = boot();
        let unsynced = |place: Place| {
            let record: Record = record::read(&place.current()).ok()??;
            (!record.synced && record.boot == boot).then_some((place, record))
        };
        let all: Vec<(Place, Record)> =
            self.0.all()?.into_iter().filter_map(|(place, _)| unsynced(place)).collect();
        let dir = &self.0.config.dir;
        if all.is_empty() {
            return Ok(true);
        }
        if !sync(dir).map_err(VolumeError::io("sync", dir))? {
            return Ok(false);
        }
        let mut left = false;
        for (place, record) in all {
            let Some(_lock) = place.try_lock(true)? else {
                left = true;
                continue;
            };
            // There may be another version by now.
            if record::read(&place.current()).ok().flatten().as_ref() == Some(&record) {
                record::write(&place.current(), &Record { synced: true, ..record })?;
            }
        }
        Ok(!left)
    }
}
