//! A directory for blobs on their way.

use std::path::Path;

use crate::StoreError;
use crate::disk::DiskStore;
use crate::disk::scratch::Scratch;

/// A directory of this process alone, below `arriving` in the directory given. It goes with the process: what one
/// that was killed leaves is removed by the next that opens a spool in the same place.
#[derive(Debug)]
pub(crate) struct Spool {
    scratch: Scratch,
}

impl Spool {
    /// Makes the directory in `dir`, which is made as well.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let parent = dir.join("arriving");
        let failed = |error| StoreError::io("make", &parent, error);
        std::fs::create_dir_all(&parent).map_err(failed)?;
        Scratch::sweep(&parent);
        Ok(Self { scratch: Scratch::create(&parent).map_err(failed)? })
    }

    /// Makes the directory in that of a cache, from where a file can be moved into it.
    pub(crate) fn of(cache: &DiskStore) -> Result<Self, StoreError> {
        let tmp = cache.dir().join("tmp");
        let scratch =
            Scratch::create(&tmp).map_err(|error| StoreError::io("make a directory in", &tmp, error))?;
        Ok(Self { scratch })
    }

    pub(crate) fn path(&self) -> &Path {
        self.scratch.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spools_share_a_place_and_leave_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (Spool::open(dir.path()).unwrap(), Spool::open(dir.path()).unwrap());
        std::fs::write(one.path().join("blob"), "x").unwrap();
        let three = Spool::open(dir.path()).unwrap();
        assert!(one.path().join("blob").exists(), "its owner lives");
        drop((one, two, three));
        assert_eq!(std::fs::read_dir(dir.path().join("arriving")).unwrap().count(), 0);
    }
}
