//! Looking at every entry.

use std::fs;
use std::io;

use cullet_digest::DigestFunction;
use rustix::fs::AtFlags;

use super::bases::{self, Area};
use super::name::EntryName;
use super::recency;
use super::store::{Disk, size};
use super::usage::charge;
use crate::StoreError;

/// One entry as it was when looked at.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) area: Area,
    pub(super) function: DigestFunction,
    pub(super) hash: [u8; 32],
    pub(super) executable: bool,
    pub(super) atime_ns: i64,
    /// Length in bytes.
    pub(super) size: u64,
    /// What it counts for, in bytes.
    pub(super) charge: u64,
}

impl Entry {
    pub(super) fn name(&self) -> EntryName {
        EntryName::of_hash(&self.hash, self.executable)
    }
}

impl Disk {
    /// Visits every entry, in no order. What comes or goes meanwhile may or may not be visited; files whose
    /// names are not ours are left alone.
    pub(super) fn scan(&self, visit: &mut dyn FnMut(Entry)) -> Result<(), StoreError> {
        for (area, function) in bases::all() {
            let base = bases::directory(self.layout.root(), area, function);
            let Some(shards) = self.list(&base)? else { continue };
            for shard in shards {
                let shard = shard.map_err(|error| self.error("list", base.clone(), error))?.path();
                let Some(files) = self.list(&shard)? else { continue };
                for file in files {
                    let file = file.map_err(|error| self.error("list", shard.clone(), error))?;
                    if let Some(entry) = self.look(area, function, &file.file_name()) {
                        visit(entry);
                    }
                }
            }
        }
        Ok(())
    }

    fn list(&self, path: &std::path::Path) -> Result<Option<fs::ReadDir>, StoreError> {
        match fs::read_dir(path) {
            Ok(entries) => Ok(Some(entries)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(error) => Err(self.error("list", path.to_owned(), error)),
        }
    }

    fn look(&self, area: Area, function: DigestFunction, name: &std::ffi::OsStr) -> Option<Entry> {
        let (hash, executable) = EntryName::parse(name.to_str()?)?;
        let entry = EntryName::of_hash(&hash, executable);
        let base = self.layout.bases().get(area, function)?;
        let stat = rustix::fs::statat(base, entry.path(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let size = size(&stat);
        let atime_ns = recency::atime_ns(&stat);
        Some(Entry { area, function, hash, executable, atime_ns, size, charge: charge(size) })
    }
}
