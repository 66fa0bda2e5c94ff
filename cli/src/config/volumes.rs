//! Cache volumes of steps: where they are, and how large they may be.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cullet_worker::{Reclaim, VolumeEvents, Volumes, VolumesConfig};

use super::file::File;
use super::{Config, Env, first};
use crate::args::GlobalArgs;
use crate::error::CliError;
use crate::images::SubIdHelper;
use crate::ui::size;

/// What volumes may take, in bytes; none for the defaults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VolumeSizes {
    /// One.
    pub one: Option<u64>,
    /// All together.
    pub all: Option<u64>,
}

/// How long a step waits for a volume that another step has for itself: longer than most steps take, and short enough for
/// somebody to wonder about the one that does not end.
const PATIENCE: Duration = Duration::from_secs(600);

impl VolumeSizes {
    pub(super) fn of(flags: &GlobalArgs, env: &Env<'_>, file: &File) -> Result<Self, CliError> {
        let parsed = |name| env.parsed(name, size::parse);
        Ok(Self {
            one: first(flags.volume_size, parsed("CULLET_VOLUME_SIZE")?, file.volume_size),
            all: first(flags.volumes_size, parsed("CULLET_VOLUMES_SIZE")?, file.volumes_size),
        })
    }
}

impl Config {
    /// The cache volumes of steps. Nothing is read or made yet.
    pub fn volumes(&self, events: Arc<dyn VolumeEvents>) -> Volumes {
        let total_bytes = self.volumes.all.unwrap_or_else(|| self.cache_options().bound);
        Volumes::new(VolumesConfig {
            dir: self.volumes_dir(),
            owner: self.step_owner(),
            volume_bytes: self.volumes.one.unwrap_or(total_bytes / 2),
            total_bytes,
            patience: PATIENCE,
            events,
            reclaim: || SubIdHelper::find().map(|helper| helper as Arc<dyn Reclaim>),
        })
    }

    /// Where they are.
    pub fn volumes_dir(&self) -> PathBuf {
        self.cache_dir.join("volumes")
    }
}
