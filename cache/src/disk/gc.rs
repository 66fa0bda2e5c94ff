//! Evicting what is longest unused.
//!
//! Reading processes take no lock, so between the look at an entry and its removal somebody may start to use it.
//! The collector therefore renames an entry into its own directory first, then looks again, at the leases and at
//! the atime: whoever marked the entry as used did so before the rename, and is seen; whoever comes after it
//! finds nothing. An entry that turns out to be in use is put back.

use std::time::Duration;

use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use super::bases::Area;
use super::lock;
use super::recency::{self, GRANULARITY_NS};
use super::scan::Entry;
use super::store::Disk;
use super::tombstones::Tombstone;
use crate::StoreError;

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Bytes in use before.
    pub bytes_before: u64,
    /// Bytes in use after; more than asked for only where live runs hold them.
    pub bytes_after: u64,
    /// How many blobs are gone (an executable variant counts as one).
    pub evicted_blobs: u64,
    /// How many results are gone.
    pub evicted_results: u64,
}

/// How many evicted results are remembered at once: a killed collector forgets at most these.
const TOMBSTONE_BATCH: usize = 256;

enum Eviction {
    Done,
    Gone,
    InUse,
}

impl Disk {
    /// Evicts until at most `target` bytes are left. None where another collector was still busy after
    /// `patience`.
    pub(super) fn collect(&self, target: u64, patience: Duration) -> Result<Option<GcReport>, StoreError> {
        self.layout.scratch()?;
        let path = self.layout.gc("lock");
        let locked = lock::exclusive(&path, patience).map_err(|error| self.error("lock", path, error))?;
        let Some(_lock) = locked else { return Ok(None) };
        let threshold = self.threshold_ns().map_err(|error| self.lease_error(error))?;
        let mut total = 0;
        let mut candidates = Vec::new();
        self.scan(&mut |entry| {
            total += entry.charge;
            if entry.atime_ns < threshold {
                candidates.push(entry);
            }
        })?;
        let mut report = GcReport { bytes_before: total, bytes_after: total, ..GcReport::default() };
        if total > target {
            candidates.sort_unstable_by_key(order);
            self.evict_all(&candidates, target, &mut report)?;
        }
        self.usage.set(report.bytes_after);
        Ok(Some(report))
    }

    fn lease_error(&self, error: std::io::Error) -> StoreError {
        self.error("read the leases in", self.layout.leases(), error)
    }

    fn evict_all(&self, candidates: &[Entry], target: u64, report: &mut GcReport) -> Result<(), StoreError> {
        let mut tombstones = Vec::with_capacity(TOMBSTONE_BATCH);
        for entry in candidates {
            if report.bytes_after <= target {
                break;
            }
            match self.evict(entry)? {
                Eviction::InUse => continue,
                Eviction::Gone => {}
                Eviction::Done if entry.area == Area::Cas => report.evicted_blobs += 1,
                Eviction::Done => {
                    report.evicted_results += 1;
                    tombstones.push(Tombstone::now(entry.function, entry.hash));
                }
            }
            report.bytes_after = report.bytes_after.saturating_sub(entry.charge);
            if tombstones.len() == TOMBSTONE_BATCH {
                self.bury(&tombstones);
                tombstones.clear();
            }
        }
        self.bury(&tombstones);
        Ok(())
    }

    fn evict(&self, entry: &Entry) -> Result<Eviction, StoreError> {
        let name = entry.name();
        let failed = |error| self.failed("evict", entry.area, entry.function, &name, error);
        let scratch = self.layout.scratch()?;
        let Some(base) = self.layout.bases().get(entry.area, entry.function) else {
            return Ok(Eviction::Gone);
        };
        let taken = scratch.fresh();
        match rustix::fs::renameat(base, name.path(), scratch.fd(), &*taken) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(Eviction::Gone),
            Err(error) => return Err(failed(error)),
        }
        if self.is_free(entry, &taken)? {
            scratch.remove(&taken);
            return Ok(Eviction::Done);
        }
        // Somebody may have stored the same again meanwhile; theirs is as good.
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(scratch.fd(), &*taken, base, name.path(), flags) {
            Ok(()) => {}
            Err(Errno::EXIST) => scratch.remove(&taken),
            // A filesystem without that flag.
            Err(_) => rustix::fs::renameat(scratch.fd(), &*taken, base, name.path()).map_err(failed)?,
        }
        Ok(Eviction::InUse)
    }

    /// Whether nobody uses the entry that was taken away, seen from after it was taken away.
    fn is_free(&self, entry: &Entry, taken: &str) -> Result<bool, StoreError> {
        let threshold = self.threshold_ns().map_err(|error| self.lease_error(error))?;
        let stat = rustix::fs::statat(self.layout.scratch()?.fd(), taken, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.failed("evict", entry.area, entry.function, &entry.name(), error))?;
        let atime_ns = recency::atime_ns(&stat);
        Ok(atime_ns == entry.atime_ns && atime_ns < threshold)
    }
}

/// Oldest first. A result goes before blobs that are up to a granularity older: without its blobs it would be
/// of no use, while blobs without it can serve others.
fn order(entry: &Entry) -> i64 {
    match entry.area {
        Area::Cas => entry.atime_ns,
        Area::Ac => entry.atime_ns.saturating_sub(GRANULARITY_NS),
    }
}
