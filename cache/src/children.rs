//! What lies directly in a directory, remembered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cullet_digest::{Digest, Directory};

use crate::{BlobStore, StoreError};

/// The blobs that a directory names.
#[derive(Debug)]
pub(crate) struct Children {
    pub(crate) files: Box<[Digest]>,
    pub(crate) directories: Box<[Digest]>,
}

/// Directories read before. What a digest names never changes, so only memory bounds how long.
#[derive(Debug, Default)]
pub(crate) struct ChildrenCache {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    directories: HashMap<Digest, Arc<Children>>,
    entries: usize,
}

/// About 6 MiB of digests; past it memory starts over, and directories are read again.
const MOST_ENTRIES: usize = 1 << 17;

/// The largest directory that is read, in bytes: about half a million entries.
const LARGEST: u64 = 64 << 20;

impl ChildrenCache {
    /// The blobs that the directory names; none where it cannot be read or is no directory.
    pub(crate) async fn read(
        &self,
        blobs: &dyn BlobStore,
        directory: &Digest,
    ) -> Result<Option<Arc<Children>>, StoreError> {
        if let Some(known) = self.known(directory) {
            return Ok(Some(known));
        }
        if directory.size() > LARGEST {
            return Ok(None);
        }
        let blob = match blobs.get(directory).await {
            Ok(blob) => blob,
            Err(StoreError::NotFound { .. } | StoreError::Mismatch { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = blob.into_bytes().map_err(|error| StoreError::io("read", "a directory blob", error))?;
        let Ok(decoded) = Directory::decode(directory.function(), &bytes) else { return Ok(None) };
        let children = Arc::new(Children {
            files: decoded.files().iter().map(|file| file.digest).collect(),
            directories: decoded.directories().iter().map(|child| child.digest).collect(),
        });
        self.remember(directory, &children);
        Ok(Some(children))
    }

    fn known(&self, directory: &Digest) -> Option<Arc<Children>> {
        self.lock().directories.get(directory).cloned()
    }

    fn remember(&self, directory: &Digest, children: &Arc<Children>) {
        let entries = 1 + children.files.len() + children.directories.len();
        let mut held = self.lock();
        if held.entries + entries > MOST_ENTRIES {
            *held = Held::default();
        }
        if entries <= MOST_ENTRIES && held.directories.insert(*directory, Arc::clone(children)).is_none() {
            held.entries += entries;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        // A panic can at most leave the count wrong, which costs a directory read.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
