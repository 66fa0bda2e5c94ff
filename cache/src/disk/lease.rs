//! Live runs, and what they keep from the collector.
//!
//! A run that uses the cache holds a lease: a file under `leases/`, locked for as long as its process lives; the
//! kernel drops the lock even at a kill -9. Its mtime is the start of the run and its content the granularity
//! the run keeps entries fresh with, in nanoseconds. Entries with an atime from `start - granularity` on belong
//! to the run. It need not say which: see [`super::recency`]. A worker of a cluster, which never ends, holds leases for what its
//! attempts do with files. To hold one for long is to keep all that anybody used since: it must end before that can be as much
//! as the cache may hold.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FlockOperation, Timestamps};
use rustix::io::Errno;

use super::recency::{self, GRANULARITY_NS};
use super::store::{Disk, DiskStore};
use crate::StoreError;

/// Names of the leases that this process holds in one cache.
pub(super) type OwnLeases = Mutex<HashSet<PathBuf>>;

/// Keeps what a run uses from being evicted, until it is dropped or its process ends.
///
/// In a read-only cache it keeps nothing: a collection by the owner of the cache can then make blobs disappear,
/// which costs a step that is run again.
#[derive(Debug)]
pub struct LiveRun {
    disk: Arc<Disk>,
    held: Option<(PathBuf, File)>,
}

impl DiskStore {
    /// Announces a run, from now on.
    pub fn live_run(&self) -> Result<LiveRun, StoreError> {
        let disk = Arc::clone(&self.disk);
        if self.is_read_only() {
            return Ok(LiveRun { disk, held: None });
        }
        let start_ns = disk.recency.now_ns();
        let granularity_ns = disk.granularity_ns();
        let (path, file) = disk
            .announce(start_ns, granularity_ns)
            .map_err(|error| disk.error("announce a run in", disk.layout.leases(), error))?;
        disk.recency.raise(start_ns, granularity_ns);
        disk.own_leases.lock().unwrap_or_else(PoisonError::into_inner).insert(path.clone());
        Ok(LiveRun { disk, held: Some((path, file)) })
    }
}

impl Drop for LiveRun {
    fn drop(&mut self) {
        if let Some((path, _file)) = self.held.take() {
            let _ = fs::remove_file(&path);
            self.disk.own_leases.lock().unwrap_or_else(PoisonError::into_inner).remove(&path);
        }
        self.disk.usage.flush();
    }
}

impl Disk {
    /// Ten minutes while the cache is at most half full, so that a warm run writes nothing. Exact above, so that
    /// what finished minutes ago can make room for what runs now.
    fn granularity_ns(&self) -> i64 {
        match self.usage.total() {
            Some(total) if total <= self.bound / 2 => GRANULARITY_NS,
            _ => 0,
        }
    }

    /// The file is locked before it can be seen, so an unlocked one is always a dead one.
    fn announce(&self, start_ns: i64, granularity_ns: i64) -> io::Result<(PathBuf, File)> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let scratch = self.layout.scratch().map_err(io::Error::other)?;
        let made = scratch.path().join(scratch.fresh());
        let mut file = File::options().write(true).create_new(true).open(&made)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        write!(file, "{granularity_ns}")?;
        let start = recency::timespec(start_ns);
        rustix::fs::futimens(&file, &Timestamps { last_access: start, last_modification: start })?;
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = self.layout.leases().join(format!("{}-{start_ns}-{number}", std::process::id()));
            match fs::hard_link(&made, &path) {
                Ok(()) => {
                    fs::remove_file(&made)?;
                    return Ok((path, file));
                }
                // Another container's process with our id, at our nanosecond: take the next number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// How many live runs other processes have.
    pub(super) fn foreign_runs(&self) -> io::Result<usize> {
        let leases = live(&self.layout.leases())?;
        let own = self.own_leases.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(leases.iter().filter(|lease| !own.contains(&lease.path)).count())
    }

    /// Entries with an earlier atime belong to no live run.
    pub(super) fn threshold_ns(&self) -> io::Result<i64> {
        Ok(live(&self.layout.leases())?.iter().map(|lease| lease.protects_from_ns).min().unwrap_or(i64::MAX))
    }

    /// How many live runs there are, in any process.
    pub(super) fn runs(&self) -> usize {
        live(&self.layout.leases()).map_or(0, |leases| leases.len())
    }
}

struct Lease {
    path: PathBuf,
    protects_from_ns: i64,
}

/// The live leases; removes dead ones where it can.
fn live(leases: &Path) -> io::Result<Vec<Lease>> {
    let entries = match fs::read_dir(leases) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut live = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => drop(fs::remove_file(&path)),
            Err(Errno::WOULDBLOCK) => {
                let protects_from_ns = protects_from(&mut file)?;
                live.push(Lease { path, protects_from_ns });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(live)
}

#[allow(clippy::unnecessary_cast, reason = "the fields of stat differ in type between platforms")]
fn protects_from(file: &mut File) -> io::Result<i64> {
    let stat = rustix::fs::fstat(&*file)?;
    let start = (stat.st_mtime as i64).saturating_mul(1_000_000_000) + stat.st_mtime_nsec as i64;
    let mut text = String::new();
    file.take(32).read_to_string(&mut text)?;
    // What cannot be read counts as the largest granularity there is.
    Ok(start - text.trim().parse::<i64>().unwrap_or(GRANULARITY_NS))
}
