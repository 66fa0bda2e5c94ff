//! Emptying the cache.

use std::fs;
use std::io;
use std::time::Duration;

use super::bases;
use super::lock;
use super::store::DiskStore;
use crate::StoreError;

/// How long a collection under way is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

impl DiskStore {
    /// Removes every blob and every result, and forgets what was evicted.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while runs of other processes use the cache, unless `force`: they then execute again
    /// what they no longer find.
    pub fn clear(&self, force: bool) -> Result<(), StoreError> {
        let disk = &self.disk;
        let scratch = disk.layout.scratch()?;
        let path = disk.layout.gc("lock");
        let busy = |runs| StoreError::InUse { path: self.dir().to_owned(), runs };
        let locked =
            lock::exclusive(&path, PATIENCE).map_err(|error| disk.error("lock", path.clone(), error))?;
        let _lock = locked.ok_or_else(|| busy(1))?;
        let runs = disk.foreign_runs().map_err(|error| disk.error("read", disk.layout.leases(), error))?;
        if runs > 0 && !force {
            return Err(busy(runs));
        }
        let baseline = disk.usage.baseline();
        for (area, function) in bases::all() {
            let base = bases::directory(disk.layout.root(), area, function);
            empty(&base, || scratch.path().join(scratch.fresh()))
                .map_err(|error| disk.error("empty", base.clone(), error))?;
        }
        remove(fs::remove_file(disk.layout.gc("tombstones")))
            .map_err(|error| disk.error("remove", disk.layout.gc("tombstones"), error))?;
        disk.usage.set(0, &baseline);
        Ok(())
    }
}

/// Takes each shard away in one instant, so that nobody meets half of one, then removes it at leisure.
fn empty(base: &std::path::Path, fresh: impl Fn() -> std::path::PathBuf) -> io::Result<()> {
    for shard in fs::read_dir(base)? {
        let taken = fresh();
        fs::rename(shard?.path(), &taken)?;
        remove(if taken.is_dir() { fs::remove_dir_all(&taken) } else { fs::remove_file(&taken) })?;
    }
    Ok(())
}

/// Gone already is as good.
fn remove(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
