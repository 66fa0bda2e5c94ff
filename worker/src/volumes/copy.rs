//! A step's copy of a volume.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::VolumeError;
use super::place::{About, Held, Place, try_hold};
use super::record::{self, Record, boot};
use super::store::Inner;
use crate::attempt::{remove_tree, report};

/// A version, held, and a place for what the step writes.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) place: Place,
    /// None for the first version.
    pub(super) base: Option<Record>,
    pub(super) draft: Draft,
    /// What keeps its layers from being removed.
    layers: Vec<Held>,
}

/// A directory among the drafts of a volume; removed when dropped, which blocks.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    _held: Option<Held>,
}

impl Draft {
    /// The directories that an overlay needs, empty, in `path`, which does not exist.
    pub(super) fn make(path: PathBuf, owner: Option<(u32, u32)>) -> Result<Self, VolumeError> {
        let failed = |path: &Path| VolumeError::io("create", path);
        DirBuilder::new().mode(0o711).create(&path).map_err(failed(&path))?;
        // Before anything is in it: whoever finds it without a lock may remove it.
        let held = try_hold(&path, true).map_err(failed(&path))?;
        let draft = Self { path, _held: held };
        for dir in [&draft.path, &draft.upper(), &draft.path.join("work")] {
            if dir != &draft.path {
                DirBuilder::new().mode(0o755).create(dir).map_err(failed(dir))?;
            }
            if let Some((uid, gid)) = owner {
                chown(dir, Some(uid), Some(gid)).map_err(failed(dir))?;
            }
        }
        Ok(draft)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn upper(&self) -> PathBuf {
        self.path.join("upper")
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        report(&self.path, remove_tree(&self.path));
    }
}

impl Copy {
    /// Nobody needs the version any more that this is a copy of.
    pub(super) fn release(&mut self) {
        self.layers.clear();
    }

    /// Where the layers are, the lowest first.
    pub(super) fn layers(&self) -> Vec<PathBuf> {
        let dir = self.place.layers();
        self.base.iter().flat_map(|base| &base.layers).map(|layer| dir.join(&layer.name)).collect()
    }
}

/// How often a volume may be removed between being made and being locked.
const TRIES: u32 = 16;

impl Inner {
    /// Blocks, for milliseconds. A damaged volume is an error once: the next to ask gets an empty one.
    pub(super) fn copy(&self, place: &Place, about: &About) -> Result<Copy, VolumeError> {
        for _ in 0..TRIES {
            match self.copy_made(place, about) {
                Err(VolumeError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
                Err(VolumeError::Damaged(path)) => {
                    self.give_up(place)?;
                    return Err(VolumeError::Damaged(path));
                }
                copied => return copied,
            }
        }
        Err(VolumeError::Busy(0))
    }

    fn copy_made(&self, place: &Place, about: &About) -> Result<Copy, VolumeError> {
        place.make(about)?;
        if self.is_unswept(place) {
            self.sweep(place)?;
        }
        self.copy_of(place)
    }

    fn copy_of(&self, place: &Place) -> Result<Copy, VolumeError> {
        let _lock = place.lock(false)?;
        let base: Option<Record> = record::read(&place.current())?;
        // What had not reached the disk when the machine was stopped may be in pieces.
        let base = base.filter(|base| base.synced || base.boot == boot());
        let mut layers = Vec::new();
        for layer in base.iter().flat_map(|base| &base.layers) {
            let path = place.layers().join(&layer.name);
            match try_hold(&path, false) {
                Ok(Some(held)) => layers.push(held),
                // Nobody removes one that is named, so it was not Cullet that did.
                Ok(None) => return Err(VolumeError::Damaged(path)),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    return Err(VolumeError::Damaged(path));
                }
                Err(source) => return Err(VolumeError::Io { action: "hold", path, source }),
            }
        }
        let draft = Draft::make(place.drafts().join(self.fresh_name()), self.config.owner)?;
        used_now(place);
        Ok(Copy { place: place.clone(), base, draft, layers })
    }

    /// Forgets what the volume has.
    fn give_up(&self, place: &Place) -> Result<(), VolumeError> {
        let _lock = place.lock(true)?;
        let current = place.current();
        match std::fs::remove_file(&current) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(VolumeError::Io { action: "remove", path: current, source: error })
            }
            _ => Ok(()),
        }
    }
}

/// Volumes that were not used for longest go first. One whose time cannot be set goes sooner.
fn used_now(place: &Place) {
    let now = SystemTime::now();
    let opened = std::fs::File::options().write(true).open(place.about());
    let _ = opened.and_then(|file| file.set_modified(now));
}
