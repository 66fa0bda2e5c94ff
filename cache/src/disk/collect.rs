//! When to collect: before the bound hurts, and off the writer's path as long as possible.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use super::gc::GcReport;
use super::recency;
use super::store::{Disk, DiskStore};
use crate::StoreError;

/// State of the automatic collection of this process.
#[derive(Debug, Default)]
pub(super) struct Collecting {
    running: AtomicBool,
    /// Until when (nanoseconds since the epoch) another try would only find the same live entries.
    futile_until_ns: AtomicI64,
}

/// After a collection that could not reach its target: each looks at every entry, so not at every put.
const RETRY_NS: i64 = 1_000_000_000;

/// How long a writer waits for a collection of another process. A scan of a million entries takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(30);

impl DiskStore {
    /// Collects if the cache is over its bound. Meant for the end of a run, when nothing is in a hurry.
    pub fn maybe_gc(&self) -> Result<Option<GcReport>, StoreError> {
        self.disk.usage.flush();
        if self.is_read_only() || self.disk.total()? <= self.disk.bound {
            return Ok(None);
        }
        self.disk.collect(self.disk.low_water(), Duration::ZERO)
    }

    /// Evicts what is longest unused until at most `bound` bytes are left, or only what live runs hold. Waits
    /// for a collection that is under way.
    pub fn gc(&self, bound: u64) -> Result<GcReport, StoreError> {
        let busy = || StoreError::InUse { path: self.dir().to_owned(), runs: 1 };
        self.disk.collect(bound, PATIENCE)?.ok_or_else(busy)
    }
}

impl Disk {
    /// Bytes in use, by the counter, or by a scan where there is no counter.
    pub(super) fn total(&self) -> Result<u64, StoreError> {
        if let Some(total) = self.usage.total() {
            return Ok(total);
        }
        self.usage.flush();
        let mut total = 0;
        self.scan(&mut |entry| total += entry.charge)?;
        self.usage.offer(total);
        Ok(total)
    }

    /// Where an automatic collection stops: a tenth below the bound, so that the next one is not due at once.
    pub(super) const fn low_water(&self) -> u64 {
        self.bound - self.bound / 10
    }

    /// Sees to it that `size` more bytes keep within the bound and a tenth.
    pub(super) fn reserve(self: &Arc<Self>, size: u64) -> Result<(), StoreError> {
        let wanted = self.total()?.saturating_add(size);
        if wanted <= self.bound {
            return Ok(());
        }
        let most = self.bound.saturating_add(self.bound / 10);
        if size > most {
            // Evicting everything else would not help.
            return Err(self.over_bound());
        }
        if wanted <= most {
            self.collect_in_background();
            return Ok(());
        }
        self.collect_now(self.low_water().saturating_sub(size));
        if self.total()?.saturating_add(size) > most { Err(self.over_bound()) } else { Ok(()) }
    }

    /// Makes room on a full disk; false where there was nothing to evict.
    pub(super) fn free_disk(&self, size: u64) -> bool {
        // At least a twentieth: a collection per put would be slower than no cache at all.
        let total = self.total().unwrap_or(0);
        self.collect_now(total.saturating_sub(size.max(total / 20)))
    }

    fn collect_now(&self, target: u64) -> bool {
        if recency::wall_clock_ns() < self.collecting.futile_until_ns.load(Ordering::Relaxed) {
            return false;
        }
        match self.collect(target, PATIENCE) {
            Ok(Some(report)) => {
                self.note(&report, target);
                report.bytes_after < report.bytes_before
            }
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, "the cache could not be collected");
                false
            }
        }
    }

    fn note(&self, report: &GcReport, target: u64) {
        if report.bytes_after > target {
            let until = recency::wall_clock_ns() + RETRY_NS;
            self.collecting.futile_until_ns.store(until, Ordering::Relaxed);
        }
    }

    fn collect_in_background(self: &Arc<Self>) {
        let futile_until = self.collecting.futile_until_ns.load(Ordering::Relaxed);
        if recency::wall_clock_ns() < futile_until || self.collecting.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let disk = Arc::clone(self);
        let spawned = std::thread::Builder::new().name("cache-gc".to_owned()).spawn(move || {
            // Another process that collects does our work.
            match disk.collect(disk.low_water(), Duration::ZERO) {
                Ok(Some(report)) => disk.note(&report, disk.low_water()),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the cache could not be collected"),
            }
            disk.collecting.running.store(false, Ordering::Release);
        });
        if spawned.is_err() {
            // No thread to be had: the writer that crosses the hard limit will do it.
            self.collecting.running.store(false, Ordering::Release);
        }
    }
}
