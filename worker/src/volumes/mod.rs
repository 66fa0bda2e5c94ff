//! Cache volumes: directories of this machine that make steps faster, and that no result may depend on.
//!
//! A volume has versions, and a version is layers for overlayfs that nobody writes to any more. A step gets a copy: these
//! layers below, and an empty directory above them for what it writes. When it has succeeded, that directory becomes one
//! more layer, and the list of layers is replaced by a rename; a step that fails leaves nothing. Whatever is wrong with a
//! volume is told, and the step has an empty one instead.
//!
//! In `DIR/NAME-HASH/` of a volume are `about` (whose it is), `current` (its layers), `layers/`, `drafts/` (what running
//! steps write), where it travels `same` (which of its states others have), `manifest` and `told`, and two files to lock: `lock` for a moment, whenever the list is read (shared) or replaced, and `turn`
//! for as long as a step has a volume for itself. Layers and drafts are locked by whoever uses them, and with its process
//! goes its lock: what nobody holds and no list names is removed.

mod attempt;
mod chunks;
mod copy;
mod error;
mod evict;
mod flatten;
mod place;
mod publish;
pub(crate) mod record;
mod search;
mod settle;
mod store;
mod sweep;
mod tidy;
mod travel;
mod turn;

#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use attempt::{AttemptVolumes, Leaving};
pub use error::VolumeError;
pub use evict::{Evicted, VolumeInfo};
pub use store::{Volumes, VolumesConfig};
pub use travel::{Moved, SharedVolumes, Travels, VolumeStore};

/// A volume that a step wants to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeUse {
    /// Whose it is: names are unique in a scope.
    pub scope: String,
    /// Its name.
    pub volume: String,
    /// Where the step finds it: absolute, normalised.
    pub path: String,
    /// Whether one attempt at a time has it.
    pub locked: bool,
    /// Whether the step is to find nothing of it, and to leave nothing in it.
    pub empty: bool,
    /// Where other machines have it too.
    pub travels: Option<Travels>,
}

/// A volume as it is mounted for one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeMount {
    /// Where the step finds it.
    pub path: String,
    /// Directories for overlayfs, the lowest first; never written to.
    pub layers: Vec<PathBuf>,
    /// A directory of the step's own, on one filesystem: it holds `upper` and `work`, both empty. Where the volume cannot
    /// be mounted, [`VolumeMount::FAILED`] is written there, with the reason.
    pub draft: PathBuf,
    /// The most bytes that are kept of what the step writes.
    pub most_bytes: u64,
}

impl VolumeMount {
    /// The name of the file that says that the step had another directory, or none, in the volume's place.
    pub const FAILED: &'static str = "failed";
    /// The same for a step that had the volume, and what it wrote to it could not be had.
    pub const LOST: &'static str = "lost";

    /// What the step is to find, as one directory, which is not to be written to: in the draft, unless a layer is that
    /// already. Blocks.
    pub(crate) fn merged(&self) -> Result<PathBuf, VolumeError> {
        let merged = self.draft.join("merged");
        let layers: Vec<PathBuf> = match &self.layers[..] {
            // Nothing in the lowest one hides anything.
            [only] => return Ok(only.clone()),
            [] => {
                std::fs::create_dir(&merged).map_err(VolumeError::io("create", &merged))?;
                return Ok(merged);
            }
            layers => layers.iter().rev().cloned().collect(),
        };
        let (copy_upper, owner, most) = (false, None, u64::MAX);
        flatten::Flattening { layers: &layers, copy_upper, owner, most }.make(&merged)?;
        Ok(merged)
    }
}

/// Is told what people should know of volumes.
pub trait VolumeEvents: Debug + Send + Sync {
    /// One sentence about a volume that the step wants.
    fn tell(&self, step: &str, is_warning: bool, text: String);
}
