//! What nobody holds and no list names.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::VolumeError;
use super::place::{Place, try_hold};
use super::record::{self, Record};
use super::store::Inner;
use crate::attempt::{remove_tree, report};

/// Where removed things wait until they are gone, beside the volumes. No volume has such a name.
pub(super) const TRASH: &str = ".gone";

impl Inner {
    /// Removes what dead processes left of a volume, unless somebody is at it right now.
    pub(super) fn sweep(&self, place: &Place) -> Result<(), VolumeError> {
        self.empty_trash();
        let gone = match place.try_lock(true)? {
            Some(_lock) => self.put_away(place)?,
            None => Vec::new(),
        };
        self.remove_all(&gone);
        Ok(())
    }

    /// With the list locked by the caller: moves what is not needed to where nobody looks for it. Whoever removes that needs
    /// no lock.
    pub(super) fn put_away(&self, place: &Place) -> Result<Vec<PathBuf>, VolumeError> {
        let current: Option<Record> = match record::read(&place.current()) {
            Ok(current) => current,
            // Whoever uses it next finds out and is told.
            Err(VolumeError::Damaged(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let named: BTreeSet<&str> =
            current.iter().flat_map(|record| &record.layers).map(|layer| layer.name.as_str()).collect();
        let mut gone = Vec::new();
        for dir in [place.layers(), place.drafts()] {
            for entry in fs::read_dir(&dir).map_err(VolumeError::io("read", &dir))? {
                let entry = entry.map_err(VolumeError::io("read", &dir))?;
                let kept = entry.file_name().to_str().is_some_and(|name| named.contains(name));
                if !kept && matches!(try_hold(&entry.path(), true), Ok(Some(_))) {
                    gone.extend(self.throw_away(&entry.path())?);
                }
            }
        }
        Ok(gone)
    }

    /// Moves something to the trash; where it is now.
    pub(super) fn throw_away(&self, path: &Path) -> Result<Option<PathBuf>, VolumeError> {
        let trash = self.config.dir.join(TRASH);
        fs::create_dir_all(&trash).map_err(VolumeError::io("create", &trash))?;
        let gone = trash.join(self.fresh_name());
        match fs::rename(path, &gone) {
            Ok(()) => Ok(Some(gone)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(VolumeError::Io { action: "remove", path: path.to_owned(), source: error }),
        }
    }

    /// Goes on with what a process did not get to remove.
    fn empty_trash(&self) {
        let entries = fs::read_dir(self.config.dir.join(TRASH)).into_iter().flatten().flatten();
        self.remove_all(&entries.map(|entry| entry.path()).collect::<Vec<_>>());
    }
}

impl Inner {
    /// What cannot be removed now is removed by the next process.
    pub(super) fn remove_all(&self, gone: &[PathBuf]) {
        for path in gone {
            let mut removed = remove_tree(path);
            // Of a step whose process was killed before what it had given to others was taken back.
            if removed.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
                && let Some(who) = (self.config.reclaim)()
            {
                removed = who.take_over(path).and_then(|()| remove_tree(path));
            }
            report(path, removed);
        }
    }
}
