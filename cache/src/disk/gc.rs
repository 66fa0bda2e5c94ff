//! Evicting what is longest unused.
//!
//! Reading processes take no lock, so between the look at an entry and its removal somebody may start to use it.
//! The collector therefore renames an entry into `gc/trash/` first, then looks again, at the leases and at the
//! atime: whoever marked the entry as used did so before the rename, and is seen; whoever comes after it waits
//! for the decision (see [`super::lookup`]). An entry that turns out to be in use is put back.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use super::bases::{self, Area};
use super::lock;
use super::lookup::trash_name;
use super::name::EntryName;
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
        self.restore_trash();
        let threshold = self.threshold_ns().map_err(|error| self.lease_error(error))?;
        let baseline = self.usage.baseline();
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
        self.usage.set(report.bytes_after, &baseline);
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
        let (Some(trash), Some(base)) =
            (self.layout.trash(), self.layout.bases().get(entry.area, entry.function))
        else {
            return Ok(Eviction::Gone);
        };
        let taken = trash_name(entry.area, entry.function, &name);
        match rustix::fs::renameat(base, name.path(), trash, &*taken) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(Eviction::Gone),
            Err(error) => return Err(failed(error)),
        }
        let free = self.is_free(entry, trash, &taken);
        if matches!(free, Ok(true)) {
            rustix::fs::unlinkat(trash, &*taken, AtFlags::empty()).map_err(failed)?;
            return Ok(Eviction::Done);
        }
        put_back(trash, &taken, base, &name).map_err(failed)?;
        free.map(|_| Eviction::InUse)
    }

    /// Whether nobody uses the entry that was taken away, seen from after it was taken away.
    fn is_free(&self, entry: &Entry, trash: BorrowedFd<'_>, taken: &str) -> Result<bool, StoreError> {
        let threshold = self.threshold_ns().map_err(|error| self.lease_error(error))?;
        let stat = rustix::fs::statat(trash, taken, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.failed("evict", entry.area, entry.function, &entry.name(), error))?;
        let atime_ns = recency::atime_ns(&stat);
        Ok(atime_ns == entry.atime_ns && atime_ns < threshold)
    }

    /// Puts back what a collector that was killed had not decided about.
    fn restore_trash(&self) {
        let Some(trash) = self.layout.trash() else { return };
        let Ok(entries) = std::fs::read_dir(self.layout.gc("trash")) else { return };
        for taken in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            let home = bases::all().find_map(|(area, function)| {
                let file_name = taken.strip_prefix(&format!("{}-{}-", area.name(), function.name()))?;
                let (hash, executable) = EntryName::parse(file_name)?;
                Some((self.layout.bases().get(area, function)?, EntryName::of_hash(&hash, executable)))
            });
            let restored = home.is_some_and(|(base, name)| put_back(trash, &taken, base, &name).is_ok());
            if !restored {
                let _ = rustix::fs::unlinkat(trash, &*taken, AtFlags::empty());
            }
        }
    }
}

/// Somebody may have stored the same again meanwhile; theirs is as good.
fn put_back(
    trash: BorrowedFd<'_>,
    taken: &str,
    base: BorrowedFd<'_>,
    name: &EntryName,
) -> rustix::io::Result<()> {
    match rustix::fs::renameat_with(trash, taken, base, name.path(), RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => rustix::fs::unlinkat(trash, taken, AtFlags::empty()),
        // A filesystem without that flag.
        Err(_) => rustix::fs::renameat(trash, taken, base, name.path()),
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
