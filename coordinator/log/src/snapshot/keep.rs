//! Which snapshots there are.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::{SnapshotInfo, SnapshotReader};
use crate::disk::Disk;
use crate::open::Files;
use crate::shared::lock;
use crate::{Error, Identity, Result, names};

/// The newest, and one to fall back to.
const KEPT: usize = 2;
/// What a damaged snapshot is called when it is set aside; one is kept, for whoever wants to know what happened.
const DAMAGED: &str = "damaged-snapshot";

pub(crate) struct Snapshots {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) identity: Identity,
    kept: Mutex<Kept>,
    serial: AtomicU64,
}

#[derive(Default)]
struct Kept {
    newest: Option<SnapshotInfo>,
    /// Index and serial number of each, oldest first.
    files: Vec<(u64, u64)>,
}

impl Snapshots {
    /// Finds the newest good snapshot. A damaged one is passed over only where the log has every entry it stood for, so
    /// that nothing is missing without it; it is set aside then.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        identity: Identity,
        log: &Files,
    ) -> Result<(Self, Option<PathBuf>)> {
        let listed = disk.list(dir).map_err(Error::io("list", dir))?;
        let mut files: Vec<_> = listed.iter().filter_map(|name| names::parse_snapshot(name)).collect();
        files.sort_unstable();
        let serial = files.iter().map(|(_, serial)| serial.saturating_add(1)).max().unwrap_or(0);
        let purged = log.log.purged.as_ref().map(|id| id.index);
        let mut damaged = Vec::new();
        let mut newest = None;
        while let Some(&(index, serial)) = files.last() {
            let path = names::snapshot(dir, index, serial);
            let opened = SnapshotReader::open(&**disk, &path, identity, index);
            let last = opened.as_ref().ok().map(|reader| reader.last().clone());
            match opened.and_then(SnapshotReader::verify) {
                Ok(info) => {
                    newest = Some(info);
                    break;
                }
                Err(error) if error.is_corrupt() => {
                    let is_covered = last.is_some() && log.entry_id(index)? == last;
                    if !is_covered {
                        return Err(error);
                    }
                    damaged.push((path, error));
                    files.pop();
                }
                Err(error) => return Err(error),
            }
        }
        if newest.as_ref().map(|snapshot| snapshot.last.index) < purged {
            let path = names::snapshot(dir, purged.unwrap_or(0), 0);
            let missing = || Error::corrupt(&path, 0, 0, "the log was purged to here, and it is missing");
            return Err(damaged.into_iter().next().map_or_else(missing, |(_, error)| error));
        }
        let aside = dir.join(DAMAGED);
        for (path, _) in &damaged {
            disk.rename(path, &aside).map_err(Error::io("rename", path))?;
        }
        let kept = Mutex::new(Kept { newest, files });
        let snapshots =
            Self { disk: Arc::clone(disk), dir: dir.to_owned(), identity, kept, serial: serial.into() };
        Ok((snapshots, (!damaged.is_empty()).then_some(aside)))
    }

    pub(crate) fn newest(&self) -> Option<SnapshotInfo> {
        lock(&self.kept).newest.clone()
    }

    pub(crate) fn read(&self) -> Result<Option<SnapshotReader>> {
        // Held while the file is opened, so that it is not removed before.
        let kept = lock(&self.kept);
        let Some(newest) = &kept.newest else { return Ok(None) };
        SnapshotReader::open(&*self.disk, &newest.path, self.identity, newest.last.index).map(Some)
    }

    pub(super) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives a durable file its name, and removes those that are not needed for it.
    pub(super) fn install(&self, info: &SnapshotInfo, serial: u64, unfinished: &Path) -> Result<()> {
        let mut kept = lock(&self.kept);
        let (index, newest) = (info.last.index, kept.newest.as_ref().map(|newest| newest.last.index));
        if let Some(newest) = newest.filter(|newest| index < *newest) {
            return Err(Error::StaleSnapshot { index, newest });
        }
        self.disk.rename(unfinished, &info.path).map_err(Error::writing("rename", unfinished))?;
        self.disk.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        kept.newest = Some(info.clone());
        kept.files.push((index, serial));
        kept.files.sort_unstable();
        let surplus = kept.files.len().saturating_sub(KEPT);
        for (index, serial) in kept.files.drain(..surplus) {
            let path = names::snapshot(&self.dir, index, serial);
            self.disk.remove(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }
}
