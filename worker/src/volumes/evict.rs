//! All volumes: what there is, and what has to go.

use std::fs;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use super::place::{About, Place, try_hold, try_lock_file};
use super::record::{self, Record};
use super::store::Inner;
use super::sweep::TRASH;
use super::{VolumeError, Volumes};

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeInfo {
    /// Whose it is.
    pub scope: String,
    /// Its name.
    pub volume: String,
    /// What it takes of the disk.
    pub bytes: u64,
    /// How many layers it has.
    pub layers: usize,
    /// When a step had it last, in milliseconds since the Unix epoch.
    pub used_ms: u64,
    /// Whether a step has it now.
    pub in_use: bool,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Volumes that went.
    pub volumes: u64,
    /// What volumes took before.
    pub bytes_before: u64,
    /// What they take now.
    pub bytes_after: u64,
}

impl Volumes {
    /// What there is, sorted by scope and name; blocks.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn list(&self) -> Result<Vec<VolumeInfo>, VolumeError> {
        let mut infos: Vec<VolumeInfo> = self.0.all()?.into_iter().map(|(_, info)| info).collect();
        infos.sort_by(|a, b| (&a.scope, &a.volume).cmp(&(&b.scope, &b.volume)));
        Ok(infos)
    }

    /// Brings all volumes together below `bound` bytes, as far as no step has them: those go first that were not used for
    /// longest. Blocks.
    ///
    /// # Errors
    /// The directory cannot be read or written.
    pub fn evict(&self, bound: u64) -> Result<Evicted, VolumeError> {
        self.0.evict(bound)
    }

    /// Removes the volumes for which `wanted` says so, as far as no step has them; blocks.
    ///
    /// # Errors
    /// The directory cannot be read or written.
    pub fn remove(&self, wanted: impl Fn(&VolumeInfo) -> bool) -> Result<Evicted, VolumeError> {
        let all = self.0.all()?;
        self.0.remove(all, |info, _| wanted(info))
    }
}

impl Inner {
    pub(super) fn evict(&self, bound: u64) -> Result<Evicted, VolumeError> {
        let mut all = self.all()?;
        all.sort_by_key(|(_, info)| info.used_ms);
        self.remove(all, |_, left| left > bound)
    }

    /// In this order, while `wanted` says so of one and of what all take.
    fn remove(
        &self,
        all: Vec<(Place, VolumeInfo)>,
        wanted: impl Fn(&VolumeInfo, u64) -> bool,
    ) -> Result<Evicted, VolumeError> {
        let bytes = all.iter().map(|(_, info)| info.bytes).sum();
        let mut evicted = Evicted { volumes: 0, bytes_before: bytes, bytes_after: bytes };
        for (place, info) in all {
            if wanted(&info, evicted.bytes_after) && self.remove_one(&place)? {
                evicted.volumes += 1;
                evicted.bytes_after -= info.bytes;
            }
        }
        Ok(evicted)
    }

    /// Whether it was there and nobody had it.
    fn remove_one(&self, place: &Place) -> Result<bool, VolumeError> {
        let gone = {
            let Ok(Some(_lock)) = place.try_lock(true) else { return Ok(false) };
            // Whoever waits for their turn finds out, and makes another.
            let Ok(Some(_turn)) = try_lock_file(&place.turn(), true) else { return Ok(false) };
            if is_held(place) {
                return Ok(false);
            }
            self.throw_away(place.dir())?
        };
        self.remove_all(&gone.into_iter().collect::<Vec<_>>());
        Ok(true)
    }

    pub(super) fn all(&self) -> Result<Vec<(Place, VolumeInfo)>, VolumeError> {
        let dir = &self.config.dir;
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(VolumeError::io("read", dir))?,
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry.map_err(VolumeError::io("read", dir))?;
            let place = Place::at(entry.path());
            if entry.file_name() != TRASH
                && let Some(info) = info(&place)
            {
                all.push((place, info));
            }
        }
        Ok(all)
    }
}

/// None for what is no volume, or none any more.
fn info(place: &Place) -> Option<VolumeInfo> {
    let about: About = record::read(&place.about()).ok()??;
    // A damaged one takes what it takes, and goes when it is used next.
    let current: Option<Record> = record::read(&place.current()).ok().flatten();
    let used = fs::metadata(place.about()).and_then(|found| found.modified()).ok()?;
    let used_ms = used.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    // Whoever is about to hold a layer must not find it held by this look.
    let lock = place.try_lock(true).ok().flatten();
    Some(VolumeInfo {
        scope: about.scope,
        volume: about.volume,
        bytes: current.as_ref().map_or(0, Record::bytes),
        layers: current.map_or(0, |record| record.layers.len()),
        used_ms: u64::try_from(used_ms).unwrap_or(u64::MAX),
        in_use: lock.is_none() || is_held(place),
    })
}

/// Whether somebody holds a layer or a draft of it; with the list locked by the caller.
fn is_held(place: &Place) -> bool {
    let entries = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
    let mut parts = entries(place.layers()).chain(entries(place.drafts()));
    parts.any(|part| matches!(try_hold(&part.path(), true), Ok(None)))
}
