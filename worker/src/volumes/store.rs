//! The volumes of a machine.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::place::{About, Place};
use super::travel::Travel;
use super::{VolumeEvents, VolumeUse};
use crate::Reclaim;

/// Where volumes are, and how large they may be.
#[derive(Debug, Clone)]
pub struct VolumesConfig {
    /// The directory of all of them; it is made when a step wants one. Several processes may share it.
    pub dir: PathBuf,
    /// User and group that steps run as, if this process is root and they are others.
    pub owner: Option<(u32, u32)>,
    /// The most that one may take, in bytes.
    pub volume_bytes: u64,
    /// The most that all may take together, in bytes.
    pub total_bytes: u64,
    /// How long a step waits for one that another step has for itself.
    pub patience: Duration,
    /// Who is told.
    pub events: Arc<dyn VolumeEvents>,
    /// Who takes back what steps give to sub-ids, where there are some.
    pub reclaim: fn() -> Option<Arc<dyn Reclaim>>,
}

/// The volumes of a machine. Clones are of one process's.
#[derive(Debug, Clone)]
pub struct Volumes(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) config: VolumesConfig,
    /// Which volumes this process has swept.
    swept: Mutex<BTreeSet<Place>>,
    /// What was said of which volume already.
    told: Mutex<BTreeSet<(Place, &'static str)>>,
    next: AtomicU64,
    /// Whether there may be versions that are not on the disk yet.
    pub(super) is_unsettled: AtomicBool,
    /// What is known of volumes that other machines have as well.
    pub(super) travel: Travel,
}

impl Volumes {
    /// Nothing is read or made yet.
    pub fn new(config: VolumesConfig) -> Self {
        let (swept, told, next, travel) = Default::default();
        // Those of an earlier process.
        let is_unsettled = AtomicBool::new(true);
        Self(Arc::new(Inner { config, swept, told, next, is_unsettled, travel }))
    }
}

impl Inner {
    /// Where a volume is, and whose it is.
    pub(super) fn place(&self, wanted: &VolumeUse) -> (Place, About) {
        let about = About::of(wanted, self.config.owner);
        (Place::of(&self.config.dir, &about), about)
    }

    /// A name that nothing else of any process has: numbers of processes come again, and randomness does not.
    pub(super) fn fresh_name(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number}-{:016x}", std::process::id(), fastrand::u64(..))
    }

    /// Whether this process is to sweep the volume: once.
    pub(super) fn is_unswept(&self, place: &Place) -> bool {
        self.swept.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone())
    }

    /// Whether this is the first time that `what` is said of the volume.
    pub(super) fn is_news(&self, place: &Place, what: &'static str) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert((place.clone(), what))
    }
}
