//! How much there is in a store, and less of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::helper::OwnerHelper;
use super::lock::Lock;
use super::{Store, clean, hold, tree};
use crate::ImageError;

/// What is in a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Unpacked layers.
    pub layers: u64,
    /// Bytes of them, as archives.
    pub layer_bytes: u64,
    /// Manifests, configurations and layers as registries send them.
    pub blobs: u64,
    /// Bytes of them.
    pub blob_bytes: u64,
    /// Blobs of which a part was fetched, or is being fetched.
    pub parts: u64,
    /// Bytes of them.
    pub part_bytes: u64,
}

impl StoreStats {
    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.layer_bytes + self.blob_bytes + self.part_bytes
    }
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Before.
    pub bytes_before: u64,
    /// After.
    pub bytes_after: u64,
    /// Layers that were removed.
    pub layers: u64,
    /// Blobs that were removed, and parts of blobs.
    pub blobs: u64,
}

/// Something that can be removed.
#[derive(Debug)]
struct Entry {
    last_use: SystemTime,
    bytes: u64,
    path: PathBuf,
    /// Among locks.
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Layer,
    Blob,
    Part,
}

impl Store {
    /// What a directory has, which need not be there. Reads a short file for each layer, and no layer. Blocking.
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub fn stats(dir: &Path) -> Result<StoreStats, ImageError> {
        Ok(count(&entries(dir)?))
    }

    /// Removes what was not used for longest until no more than `bound` bytes are left, or nothing that nobody uses.
    /// The directory need not be there. Layers with files of others take a helper. Blocking.
    ///
    /// # Errors
    /// [`ImageError::Io`].
    pub fn evict(dir: &Path, bound: u64, helper: Option<&dyn OwnerHelper>) -> Result<Evicted, ImageError> {
        let mut entries = entries(dir)?;
        let before = count(&entries).bytes();
        let mut evicted = Evicted { bytes_before: before, bytes_after: before, ..Evicted::default() };
        entries.sort_by(|one, two| (one.last_use, &one.name).cmp(&(two.last_use, &two.name)));
        for entry in entries {
            if evicted.bytes_after <= bound {
                break;
            }
            if entry.remove(dir, helper)? {
                evicted.bytes_after -= entry.bytes;
                *(if entry.kind == Kind::Layer { &mut evicted.layers } else { &mut evicted.blobs }) += 1;
            }
        }
        Ok(evicted)
    }
}

impl Entry {
    /// False where somebody uses it or works on it. What is left half removed is removed when the store is opened.
    fn remove(&self, dir: &Path, helper: Option<&dyn OwnerHelper>) -> Result<bool, ImageError> {
        let locks = dir.join("locks");
        let Some(_lock) = Lock::take(&locks.join(&self.name))? else { return Ok(false) };
        let Some(unheld) = hold::unheld(&locks, &self.name)? else { return Ok(false) };
        if self.kind != Kind::Layer {
            clean::remove(&self.path, None)?;
            return Ok(true);
        }
        let gone = dir.join("unpacking").join(&self.name);
        clean::remove(&gone, helper)?;
        match fs::rename(&self.path, &gone) {
            // Another process was first.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            renamed => renamed.map_err(|error| ImageError::io("remove", &self.path, error))?,
        }
        // Whoever wants it waits for the name, not for the files.
        drop(unheld);
        clean::remove(&gone, helper)?;
        Ok(true)
    }
}

fn count(entries: &[Entry]) -> StoreStats {
    let mut stats = StoreStats::default();
    for entry in entries {
        let (count, bytes) = match entry.kind {
            Kind::Layer => (&mut stats.layers, &mut stats.layer_bytes),
            Kind::Blob => (&mut stats.blobs, &mut stats.blob_bytes),
            Kind::Part => (&mut stats.parts, &mut stats.part_bytes),
        };
        *count += 1;
        *bytes += entry.bytes;
    }
    stats
}

fn entries(dir: &Path) -> Result<Vec<Entry>, ImageError> {
    let mut entries = Vec::new();
    for (place, kind) in [("blobs/sha256", Kind::Blob), ("partial", Kind::Part)] {
        for (name, path) in list(&dir.join(place))? {
            // What was removed meanwhile is none.
            let Ok(stat) = fs::metadata(&path) else { continue };
            let last_use = stat.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            entries.push(Entry { last_use, bytes: stat.len(), path, name, kind });
        }
    }
    for (form, path) in list(&dir.join("layers"))? {
        for (hex, path) in list(&path)? {
            // One without notes is being removed.
            let Ok(stat) = fs::metadata(tree::notes(&path)) else { continue };
            let last_use = stat.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let (bytes, name) = (tree::bytes(&path), format!("{form}-{hex}"));
            entries.push(Entry { last_use, bytes, path, name, kind: Kind::Layer });
        }
    }
    Ok(entries)
}

/// Names and paths; none where the directory is not there.
pub(super) fn list(dir: &Path) -> Result<Vec<(String, PathBuf)>, ImageError> {
    let fail = |error| ImageError::io("list", dir, error);
    let found = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.map_err(fail)?,
    };
    let named = found.map(|entry| {
        let entry = entry.map_err(fail)?;
        Ok((entry.file_name().to_string_lossy().into_owned(), entry.path()))
    });
    named.collect()
}

#[test]
fn what_another_process_has_removed_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    Store::open(dir.path(), super::StoreOptions::default()).unwrap();
    for kind in [Kind::Layer, Kind::Blob, Kind::Part] {
        let path = dir.path().join("layers/user/00");
        let entry = Entry { last_use: SystemTime::now(), bytes: 1, path, name: "user-00".to_owned(), kind };
        assert_eq!(entry.remove(dir.path(), None).unwrap(), kind != Kind::Layer, "{kind:?}");
    }
}
