//! Volumes that travel: other machines have them too, by way of the store that all of them share.
//!
//! A version is in the store as [chunks](super::chunks), and under the volume's name stands which one it is: a record like that of a
//! result, of an action that nobody can execute. So scopes, signatures, who may write, and what is kept how long are what they are
//! for results. Of two who publish at the same time the last one has its way, and nobody sees a part of a version: the record
//! comes last.
//!
//! A step gets the store's version where this machine has none, or has one that came from there, unchanged, and the store's is newer.
//! What steps changed goes there after them, all at once. A volume is speed only: whatever goes wrong is told once, and
//! the step has what is here.

mod bring;
mod name;
mod send;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cullet_cache::{ActionCache, BlobStore, Scope};
use cullet_digest::Digest;
use tokio::time::Instant;

use self::send::Changed;
use super::chunks::ChunkError;
use super::place::Place;
use super::{VolumeError, Volumes};

/// A volume that other machines have as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Travels {
    /// Whose it is, whatever the scope.
    pub owner: String,
    /// Who writes it: their own version is read before that of everybody.
    pub scope: Scope,
}

/// Where volumes go that travel.
pub trait SharedVolumes: Debug + Send + Sync {
    /// What runs of a scope see.
    fn of(&self, scope: &Scope) -> VolumeStore;
}

/// A store, as runs of one scope see it.
#[derive(Debug, Clone)]
pub struct VolumeStore {
    /// Manifests and packs.
    pub blobs: Arc<dyn BlobStore>,
    /// Which version a volume has: that of the own scope, or else of others; only what is believed.
    pub versions: Arc<dyn ActionCache>,
    /// Those of the own scope alone; none where nothing is written.
    pub own: Option<Arc<dyn ActionCache>>,
}

/// Bytes that volumes were moved in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// What came from the store.
    pub downloaded: u64,
    /// What went there.
    pub uploaded: u64,
}

/// How long a step waits for a volume: what is not faster than this is not worth it.
pub(super) const FETCHING: Duration = Duration::from_secs(60);

/// How long the question may take which version there is.
const LOOKUP: Duration = Duration::from_secs(10);

/// Until the store is asked again for a newer version.
const AGAIN: Duration = Duration::from_secs(60);

/// What this process knows of volumes that travel.
#[derive(Debug, Default)]
pub(super) struct Travel {
    stores: OnceLock<Result<Arc<dyn SharedVolumes>, String>>,
    looked: Mutex<BTreeMap<Place, Arc<tokio::sync::Mutex<Looked>>>>,
    changed: Mutex<BTreeMap<Place, Changed>>,
    downloaded: AtomicU64,
    uploaded: AtomicU64,
}

/// What is known of one of them. Whoever looks has it locked, so that others wait for what is on its way.
#[derive(Debug, Default)]
struct Looked {
    at: Option<Instant>,
    /// A version that could not be had: no other attempt is made.
    given_up: Option<Digest>,
}

impl Travel {
    fn looked(&self, place: &Place) -> Arc<tokio::sync::Mutex<Looked>> {
        Arc::clone(
            self.looked.lock().unwrap_or_else(PoisonError::into_inner).entry(place.clone()).or_default(),
        )
    }

    fn changed(&self) -> std::sync::MutexGuard<'_, BTreeMap<Place, Changed>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Volumes {
    /// Says where volumes go that travel. Who says it twice means the first.
    pub fn share(&self, with: Arc<dyn SharedVolumes>) {
        let _ = self.0.travel.stores.set(Ok(with));
    }

    /// Says why they stay here: told once, to the first step that has such a volume.
    pub fn share_nothing(&self, why: &str) {
        let _ = self.0.travel.stores.set(Err(why.to_owned()));
    }

    /// What was moved so far.
    pub fn moved(&self) -> Moved {
        let travel = &self.0.travel;
        Moved {
            downloaded: travel.downloaded.load(Ordering::Relaxed),
            uploaded: travel.uploaded.load(Ordering::Relaxed),
        }
    }
}

/// Why a volume does not travel.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    Chunks(#[from] ChunkError),
    #[error("it could not be looked for: {0}")]
    Task(#[from] tokio::task::JoinError),
}
