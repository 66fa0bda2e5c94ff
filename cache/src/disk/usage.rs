//! How many bytes the cache holds: a counter shared by all processes, right enough to know when to look.
//!
//! Every process adds up what it stores and writes the sum to `gc/size` once it is worth a lock. A process that
//! is killed takes at most one batch with it; the collector, which sees every entry anyway, sets the counter
//! right. A counter that is missing or damaged is made anew by a scan.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::lock;

/// The allocation unit of common filesystems: a small blob costs a block.
const BLOCK: u64 = 4096;

/// A batch is this part of the bound, so that a dozen processes with a full batch each stay within the tenth by
/// which the bound may be exceeded for a moment.
const BATCHES: u64 = 128;

/// Above this many bytes a batch gains nothing more.
const LARGEST_BATCH: u64 = 16 << 20;

/// The lock is held for a read and a write of 16 bytes; who holds it longer is stopped or gone.
const PATIENCE: Duration = Duration::from_secs(1);

const UNKNOWN: i64 = -1;

/// See the module.
#[derive(Debug)]
pub(super) struct Usage {
    path: PathBuf,
    batch: i64,
    pending: AtomicI64,
    known: AtomicI64,
    /// Held from a change of the file to that of `known`: threads that overtook each other in between would
    /// leave there what the file held long ago.
    turn: Mutex<()>,
}

/// The counter before a scan.
pub(super) struct Baseline(Option<i64>);

/// What an entry of `size` bytes counts for.
pub(super) const fn charge(size: u64) -> u64 {
    if size < BLOCK { BLOCK } else { size.next_multiple_of(BLOCK) }
}

impl Usage {
    pub(super) fn new(path: PathBuf, bound: u64) -> Self {
        let known = File::open(&path).ok().and_then(|file| read(&file)).unwrap_or(UNKNOWN);
        let batch = (bound / BATCHES).clamp(BLOCK, LARGEST_BATCH) as i64;
        Self { path, batch, pending: AtomicI64::new(0), known: AtomicI64::new(known), turn: Mutex::new(()) }
    }

    /// Bytes in use; none where that is not known and a scan has to tell.
    pub(super) fn total(&self) -> Option<u64> {
        // In this order, the opposite of that in which they are written.
        let pending = self.pending.load(Ordering::SeqCst);
        let known = self.known.load(Ordering::SeqCst);
        (known != UNKNOWN).then(|| u64::try_from(known + pending).unwrap_or(0))
    }

    /// Counts bytes that came, or, where negative, went.
    pub(super) fn add(&self, bytes: i64) {
        let pending = self.pending.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if pending.abs() >= self.batch {
            self.flush();
        }
    }

    /// Writes what is pending. A failure leaves it pending: counting is not worth failing for.
    pub(super) fn flush(&self) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let pending = self.pending.load(Ordering::Relaxed);
        if pending == 0 {
            return;
        }
        if let Ok(total) = self.write(|total| total.map(|total| (total + pending).max(0))) {
            // In this order: who looks in between counts too much rather than too little.
            self.known.store(total.unwrap_or(UNKNOWN), Ordering::SeqCst);
            self.pending.fetch_sub(pending, Ordering::SeqCst);
        }
    }

    /// To be taken before a scan, for [`Usage::set`] after it.
    pub(super) fn baseline(&self) -> Baseline {
        self.flush();
        Baseline(File::open(&self.path).ok().and_then(|file| read(&file)))
    }

    /// Sets the counter to what a scan found, and what was counted since the scan began: it may have missed
    /// that. Rather too much than too little, for too much only means to look again. For whoever holds the
    /// collector's lock.
    pub(super) fn set(&self, total: u64, baseline: &Baseline) {
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        self.settle(total, |now| {
            let since = now.zip(baseline.0).map_or(0, |(now, before)| now - before);
            total.saturating_add(since.max(0))
        });
    }

    /// What a scan without the collector's lock found. It may raise the counter but not lower it: a collector
    /// that is under way tells by its rise what came since it looked.
    pub(super) fn offer(&self, total: u64) {
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        self.settle(total, |now| now.map_or(total, |now| now.max(total)));
    }

    fn settle(&self, otherwise: i64, decide: impl FnOnce(Option<i64>) -> i64) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Where it cannot be written, every process finds out for itself.
        let set = self.write(|now| Some(decide(now).max(0)));
        self.known.store(set.ok().flatten().unwrap_or(otherwise), Ordering::SeqCst);
    }

    /// Changes the file under its lock and gives what it holds then.
    fn write(&self, change: impl FnOnce(Option<i64>) -> Option<i64>) -> io::Result<Option<i64>> {
        let Some(file) = lock::exclusive(&self.path, PATIENCE)? else {
            return Err(io::ErrorKind::TimedOut.into());
        };
        let total = change(read(&file));
        if let Some(total) = total {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&total.to_le_bytes());
            bytes[8..].copy_from_slice(&(!total).to_le_bytes());
            file.write_all_at(&bytes, 0)?;
        }
        Ok(total)
    }
}

/// The number, if its complement beside it agrees.
fn read(file: &File) -> Option<i64> {
    let mut bytes = [0; 16];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let (total, complement) = bytes.split_at(8);
    let total = i64::from_le_bytes(total.try_into().ok()?);
    let complement = i64::from_le_bytes(complement.try_into().ok()?);
    (total == !complement && total >= 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_holders_add_up_and_damage_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("size");
        let first = Usage::new(path.clone(), 1 << 20);
        assert_eq!(first.total(), None);
        first.set(1000, &first.baseline());
        let second = Usage::new(path.clone(), 1 << 20);
        first.add(5);
        second.add(7);
        second.add(-2);
        first.flush();
        second.flush();
        assert_eq!(second.total(), Some(1010));
        assert_eq!(Usage::new(path.clone(), 1).total(), Some(1010));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(Usage::new(path, 1).total(), None);
        second.add(1);
        second.flush();
        assert_eq!(second.total(), None);
    }

    #[test]
    fn what_is_counted_during_a_scan_is_not_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("size");
        let [ours, theirs] = [(); 2].map(|()| Usage::new(path.clone(), 1 << 20));
        ours.set(100, &ours.baseline());
        let baseline = ours.baseline();
        ours.add(3);
        theirs.add(5);
        theirs.flush();
        ours.set(90, &baseline);
        assert_eq!(ours.total(), Some(98));
        ours.flush();
        assert_eq!(Usage::new(path, 1).total(), Some(98));
    }

    #[test]
    fn a_scan_without_the_lock_hides_nothing_from_a_collector() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("size");
        let [scan, collector] = [(); 2].map(|()| Usage::new(path.clone(), 1 << 20));
        scan.set(1000, &scan.baseline());
        let baseline = collector.baseline();
        scan.offer(900);
        scan.add(50);
        scan.flush();
        collector.set(700, &baseline);
        assert_eq!(collector.total(), Some(750));
        scan.offer(800);
        assert_eq!(scan.total(), Some(800));
    }

    #[test]
    fn a_full_batch_is_written_without_being_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("size");
        let usage = Usage::new(path.clone(), 1 << 20);
        usage.set(0, &usage.baseline());
        usage.add(1 << 14);
        assert_eq!(Usage::new(path, 1).total(), Some(1 << 14));
    }
}
