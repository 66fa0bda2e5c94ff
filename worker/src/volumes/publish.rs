//! What a step wrote, kept as the volume's next version.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::copy::Copy;
use super::flatten::Flattening;
use super::record::{self, Layer, Record, boot};
use super::search::{Linked, search_all};
use super::store::Inner;
use super::tidy::tidy;
use super::{Leaving, VolumeError, VolumeMount};

/// More layers than this are made one. Stacking one more takes a rename, whatever is in the volume, and merging takes
/// seconds where it has 50,000 files: links for all of them, and then their removal. Looking for a file that is not there
/// asks every layer, which is why they are not many.
pub(super) const MOST_LAYERS: usize = 16;

impl Inner {
    /// Blocks; removes what the step had of the volume in any case. Whether there is a new version: what a step only reads
    /// stays what it was.
    pub(super) fn publish(&self, copy: &mut Copy, left: &Leaving) -> Result<bool, VolumeError> {
        unmounted(copy)?;
        let upper = copy.draft.upper();
        if is_empty(&upper)? {
            return Ok(false);
        }
        let (made, layer) = self.prepare(copy, &upper, left)?;
        let mut layers = match made {
            Made::OneMore => copy.base.clone().map(|base| base.layers).unwrap_or_default(),
            Made::All => Vec::new(),
        };
        let (dir, most) = (layer.0, self.config.volume_bytes);
        layers.push(Layer { name: self.fresh_name(), bytes: layer.1 });
        let record = Record { layers, boot: boot(), synced: false };
        if record.bytes() > most {
            return Err(VolumeError::TooLarge(most));
        }
        self.replace(copy, &dir, &record)?;
        self.is_unsettled.store(true, Ordering::Relaxed);
        Ok(true)
    }

    /// A directory that is fit to be a layer, and what it takes.
    fn prepare(
        &self,
        copy: &Copy,
        upper: &Path,
        left: &Leaving,
    ) -> Result<(Made, (PathBuf, u64)), VolumeError> {
        let (most, owner, reachable) = (self.config.volume_bytes, self.config.owner, left.reachable);
        let search = |dir: &Path, linked| {
            left.search.as_ref().map_or(Ok(()), |search| search_all(search, dir, linked))
        };
        if !reachable {
            let bytes = tidy(upper, owner, most)?.bytes;
            search(upper, Linked::Searched)?;
            if is_stackable(copy.base.as_ref(), bytes, most) {
                return Ok((Made::OneMore, (upper.to_owned(), bytes)));
            }
        }
        let mut layers = copy.layers();
        layers.push(upper.to_owned());
        layers.reverse();
        let flat = copy.draft.path().join("flat");
        let size = Flattening { layers: &layers, copy_upper: reachable, owner, most }.make(&flat)?;
        if reachable {
            // What nobody can write to any more: the copies.
            search(&flat, Linked::Known)?;
        }
        Ok((Made::All, (flat, size.bytes)))
    }

    /// The moment in which the volume has another version. A process that is killed at any point of this leaves the one or
    /// the other, and perhaps a layer that nobody names.
    fn replace(&self, copy: &mut Copy, dir: &Path, record: &Record) -> Result<(), VolumeError> {
        self.replace_if(copy, dir, record, |_| true, || Ok(())).map(drop)
    }

    /// The same where nobody has made another version since the copy was made. `also` is done in that moment.
    pub(super) fn replace_unchanged(
        &self,
        copy: &mut Copy,
        dir: &Path,
        record: &Record,
        also: impl FnOnce() -> Result<(), VolumeError>,
    ) -> Result<bool, VolumeError> {
        let base = copy.base.clone();
        // Where the copy is of nothing, there may be a version that has not survived a power cut.
        let is_it = |current: Option<Record>| match (&base, current) {
            (Some(base), Some(current)) => base.layers == current.layers,
            (None, Some(current)) => !current.synced && current.boot != boot(),
            (base, None) => base.is_none(),
        };
        self.replace_if(copy, dir, record, is_it, also)
    }

    fn replace_if(
        &self,
        copy: &mut Copy,
        dir: &Path,
        record: &Record,
        may: impl FnOnce(Option<Record>) -> bool,
        also: impl FnOnce() -> Result<(), VolumeError>,
    ) -> Result<bool, VolumeError> {
        let place = copy.place.clone();
        let lock = place.lock(true)?;
        if !may(record::read(&place.current()).unwrap_or_default()) {
            return Ok(false);
        }
        let name = record.layers.last().map(|layer| layer.name.as_str()).unwrap_or_default();
        let layer = place.layers().join(name);
        fs::rename(dir, &layer).map_err(VolumeError::io("keep what a step wrote as", &layer))?;
        record::write(&place.current(), record)?;
        also()?;
        copy.release();
        let gone = self.put_away(&place)?;
        drop(lock);
        self.remove_all(&gone);
        Ok(true)
    }
}

/// What a new layer is.
enum Made {
    /// What the step wrote, over what it found.
    OneMore,
    /// Both.
    All,
}

/// Whether what was written may be one more layer. As long as the layers above the lowest are not larger than it, what they
/// hide of each other is bounded as well.
fn is_stackable(base: Option<&Record>, bytes: u64, most: u64) -> bool {
    let Some(base) = base else { return true };
    let lowest = base.layers.first().map_or(0, |layer| layer.bytes);
    let above = (base.bytes() - lowest).saturating_add(bytes);
    base.layers.len() < MOST_LAYERS && above <= lowest.max(SMALL) && lowest.saturating_add(above) <= most
}

/// Layers that are not worth making one: 16 MiB.
const SMALL: u64 = 16 << 20;

/// The sandbox says so where the step did not write to this copy.
pub(super) fn unmounted(copy: &Copy) -> Result<(), VolumeError> {
    let said = |name: &str| fs::read_to_string(copy.draft.path().join(name)).ok();
    match (said(VolumeMount::FAILED), said(VolumeMount::LOST)) {
        (Some(why), _) => Err(VolumeError::Unmounted(why)),
        (None, Some(why)) => Err(VolumeError::Lost(why)),
        (None, None) => Ok(()),
    }
}

/// Whether the step wrote nothing. Whoever removes everything leaves marks for what is gone, so this is not that.
fn is_empty(dir: &Path) -> Result<bool, VolumeError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        // Its mode may keep us out, which the step made so.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(VolumeError::Io { action: "read", path: dir.to_owned(), source: error }),
    }
}
