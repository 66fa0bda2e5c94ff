//! Versions that survive a power cut.
//!
//! A version is published without waiting for the disk, because that would take seconds of a step. Until it is known to be
//! there, it is one of this start of the machine only: after the next start its files may be in pieces.

use std::fs::File;
use std::sync::atomic::Ordering;

use super::place::Place;
use super::record::{self, Record, boot};
use super::{VolumeError, Volumes};

impl Volumes {
    /// Writes versions to the disk that are not there yet, if this process has made one since it did so last. Blocks for as
    /// long as the filesystem takes to write everything.
    ///
    /// # Errors
    /// The disk, or the directory of volumes.
    pub fn settle(&self) -> Result<(), VolumeError> {
        if !self.0.published.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let boot = boot();
        let unsynced = |place: Place| {
            let record: Record = record::read(&place.current()).ok()??;
            (!record.synced && record.boot == boot).then_some((place, record))
        };
        let all: Vec<(Place, Record)> =
            self.0.all()?.into_iter().filter_map(|(place, _)| unsynced(place)).collect();
        let dir = &self.0.config.dir;
        let opened = File::open(dir).map_err(VolumeError::io("open", dir))?;
        rustix::fs::syncfs(opened).map_err(VolumeError::io("sync", dir))?;
        for (place, record) in all {
            let Some(_lock) = place.try_lock(true)? else { continue };
            // There may be another version by now.
            if record::read(&place.current()).ok().flatten().as_ref() == Some(&record) {
                record::write(&place.current(), &Record { synced: true, ..record })?;
            }
        }
        Ok(())
    }
}
