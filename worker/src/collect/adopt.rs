//! Files of a finished step become blobs.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use cullet_cache::StoreError;
use cullet_digest::Digest;
use cullet_secrets::Search;

use super::fault::{CollectError, shown};
use super::found::Found;
use super::secrets;
use crate::layers::{Place, Workspace, join, proc_path};

/// From this much on a second thread pays for itself (starting one costs as much as hashing about 100 KiB).
const MANY_FILES: usize = 128;
const MANY_BYTES: u64 = 4 << 20;

/// How a file becomes a blob.
pub(super) type Adopt<'a> = dyn Fn(&Path) -> Result<Digest, StoreError> + Sync + 'a;

struct Job<'a> {
    workspace: &'a Workspace,
    found: &'a Found,
    adopt: &'a Adopt<'a>,
    secrets: Option<&'a Search>,
    next: AtomicUsize,
    digests: Vec<OnceLock<Digest>>,
    failure: Mutex<Option<CollectError>>,
}

/// Hashes every file found and makes it a blob. The digests come in the order of the files.
pub(super) fn adopt_all(
    workspace: &Workspace,
    found: &Found,
    adopt: &Adopt<'_>,
    secrets: Option<&Search>,
) -> Result<Vec<Digest>, CollectError> {
    let count = found.files.len();
    let digests = (0..count).map(|_| OnceLock::new()).collect();
    let (next, failure) = (AtomicUsize::new(0), Mutex::default());
    let job = Job { workspace, found, adopt, secrets, next, digests, failure };
    if count > 1 && (count >= MANY_FILES || found.bytes >= MANY_BYTES) {
        std::thread::scope(|scope| {
            scope.spawn(|| job.work());
            job.work();
        });
    } else {
        job.work();
    }
    if let Some(error) = job.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    // Without a failure every file has its digest.
    Ok(job.digests.into_iter().filter_map(OnceLock::into_inner).collect())
}

impl Job<'_> {
    fn work(&self) {
        // Files of one directory follow each other mostly, so it is opened once.
        let mut open: Option<(Place, usize, OwnedFd)> = None;
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.digests.len() {
                return;
            }
            match self.adopt(index, &mut open) {
                Ok(digest) => drop(self.digests[index].set(digest)),
                Err(error) => {
                    self.next.store(self.digests.len(), Ordering::Relaxed);
                    self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    return;
                }
            }
        }
    }

    fn adopt(
        &self,
        index: usize,
        open: &mut Option<(Place, usize, OwnedFd)>,
    ) -> Result<Digest, CollectError> {
        let file = &self.found.files[index];
        let dir = match open {
            Some((place, layer, dir)) if (*place, *layer) == (file.place, file.layer) => dir,
            other => {
                let path = self.found.places.path(file.place);
                let dir = self.workspace.open_dir(file.layer, &path).map_err(|source| {
                    let path = shown(&join(&path, &file.name));
                    CollectError::Read { path, source }
                })?;
                &mut other.insert((file.place, file.layer, dir)).2
            }
        };
        let path = proc_path(dir.as_fd(), &file.name);
        if let Some(search) = self.secrets {
            let name = || shown(&join(&self.found.places.path(file.place), &file.name));
            secrets::content(search, &path, name)?;
        }
        (self.adopt)(&path).map_err(CollectError::Store)
    }
}
