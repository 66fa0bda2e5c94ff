//! What the cache holds.

use super::bases::Area;
use super::store::DiskStore;
use crate::StoreError;

/// Figures about a cache directory, from a look at every entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Blobs, executable variants not counted.
    pub blobs: u64,
    /// Bytes of all blobs with their executable variants, in whole blocks of the disk.
    pub blob_bytes: u64,
    /// Results.
    pub results: u64,
    /// Bytes of all results, in whole blocks of the disk.
    pub result_bytes: u64,
    /// The most bytes the cache shall hold.
    pub bound: u64,
    /// Live runs, in any process.
    pub live_runs: usize,
    /// Last use of the entry that is longest unused, in milliseconds since the Unix epoch.
    pub oldest_use_ms: Option<u64>,
}

impl DiskStore {
    /// Bytes that the cache holds, in whole blocks of the disk, by its own count: no entry is looked at. None where
    /// nobody has counted yet.
    pub fn used_bytes(&self) -> Option<u64> {
        self.disk.usage.total()
    }

    /// Looks at every entry.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let mut stats = Stats { bound: self.disk.bound, live_runs: self.disk.runs(), ..Stats::default() };
        self.disk.usage.flush();
        let mut oldest_ns = i64::MAX;
        self.disk.scan(&mut |entry| {
            oldest_ns = oldest_ns.min(entry.atime_ns);
            match entry.area {
                Area::Cas => {
                    stats.blobs += u64::from(!entry.executable);
                    stats.blob_bytes += entry.charge;
                }
                Area::Ac => {
                    stats.results += 1;
                    stats.result_bytes += entry.charge;
                }
            }
        })?;
        if oldest_ns != i64::MAX {
            stats.oldest_use_ms = Some(u64::try_from(oldest_ns / 1_000_000).unwrap_or(0));
        }
        if !self.is_read_only() {
            self.disk.usage.offer(stats.blob_bytes + stats.result_bytes);
        }
        Ok(stats)
    }
}
