//! Cache volumes that machines share, during a run on this machine.

use std::time::Duration;

use cullet_cache::{Backing, Scope, VolumesBehind};
use cullet_worker::{SharedVolumes, VolumeStore, Volumes};

/// The store behind the cache of this machine. It was opened for the scope of the run.
#[derive(Debug)]
pub(super) struct BackedVolumes(VolumeStore);

impl BackedVolumes {
    pub(super) fn of(backing: &Backing) -> Self {
        let VolumesBehind { blobs, versions, own } = backing.volumes();
        Self(VolumeStore { blobs, versions, own })
    }
}

impl SharedVolumes for BackedVolumes {
    fn of(&self, _: &Scope) -> VolumeStore {
        self.0.clone()
    }
}

/// How long the end of a run waits in silence.
const SILENT: Duration = Duration::from_secs(2);

/// How long it waits at all. Volumes are speed: those of the next run have what these had.
const PATIENCE: Duration = Duration::from_secs(120);

/// Publishes what the steps of a run changed.
pub(super) async fn publish(volumes: &Volumes, place: &str, tell: impl Fn(String)) {
    if volumes.unpublished() == 0 {
        return;
    }
    let publishing = volumes.publish(PATIENCE);
    tokio::pin!(publishing);
    if tokio::time::timeout(SILENT, &mut publishing).await.is_err() {
        tell(format!("publishing cache volumes in the shared cache {place}"));
        publishing.await;
    }
}
