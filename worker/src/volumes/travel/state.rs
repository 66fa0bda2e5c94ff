//! Which version of a store a volume of this machine is.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cullet_digest::Digest;
use serde::{Deserialize, Serialize};

use super::name::Version;
use crate::volumes::VolumeError;
use crate::volumes::chunks::Manifest;
use crate::volumes::place::Place;
use crate::volumes::record::{self, Record};

/// What is kept beside the list of layers. Where it is damaged or gone, nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Same {
    /// The layers that are the version, the lowest first. Once there are others, the volume has changes of its own.
    layers: Vec<String>,
    pub(super) manifest: Digest,
    /// When the version was made.
    pub(super) at_ms: u64,
}

impl Same {
    /// The version that these layers are, if it is known to be one.
    pub(super) fn of(place: &Place, base: Option<&Record>) -> Option<Self> {
        let same: Self = record::read(&place.same()).ok()??;
        (same.layers == names(base?)).then_some(same)
    }

    /// What is in it.
    pub(super) fn manifest(&self, place: &Place) -> Option<Manifest> {
        let bytes = fs::read(place.manifest()).ok()?;
        let is_it = self.manifest.function().digest(&bytes) == self.manifest;
        is_it.then(|| Manifest::decode(&self.manifest, &bytes).ok())?
    }

    /// Writes down that these layers are this version; with the list of layers locked by the caller.
    pub(super) fn write(
        place: &Place,
        base: &Record,
        version: &Version,
        manifest: &Manifest,
    ) -> Result<(), VolumeError> {
        // Whatever was said before is true of neither.
        let path = place.manifest();
        if let Ok((_, bytes)) = manifest.encode() {
            fs::write(&path, &bytes).map_err(VolumeError::io("write", &path))?;
        }
        let Version { manifest, at_ms, .. } = *version;
        record::write(&place.same(), &Self { layers: names(base), manifest, at_ms })
    }

    /// Whether a version should be in place of this one.
    pub(super) fn is_older_than(&self, other: &Version) -> bool {
        // A clock that was wrong once is not believed for ever.
        self.manifest != other.manifest && (self.at_ms < other.at_ms || self.at_ms > now_ms())
    }
}

fn names(record: &Record) -> Vec<String> {
    record.layers.iter().map(|layer| layer.name.clone()).collect()
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// How often a store is told that a volume is still used: what is not used is removed there after days.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether the store is to be told that the volume is used; it counts as told then.
pub(super) fn tells_use(place: &Place) -> bool {
    let path = place.told();
    let told = fs::metadata(&path).and_then(|file| file.modified()).ok();
    let lately = told.is_some_and(|told| told.elapsed().is_ok_and(|ago| ago < DAY));
    !lately && fs::write(&path, b"").is_ok()
}
