//! Cache volumes that the workers of a cluster share.

use std::time::Duration;

use cullet_cache::{PublicKey, Scope, SharedCache, SigningKey, TrustOptions};
use cullet_worker::{SharedVolumes, VolumeStore, Volumes};

/// Volumes in the store that this worker reaches itself.
#[derive(Debug)]
pub(super) struct StoreVolumes {
    pub(super) cache: SharedCache,
    /// Signs what it publishes.
    pub(super) signing: Option<SigningKey>,
    /// If there are any, only what one of these signed is taken, besides what this worker did.
    pub(super) trusted: Option<Vec<PublicKey>>,
}

impl SharedVolumes for StoreVolumes {
    fn of(&self, scope: &Scope) -> VolumeStore {
        let (signing, trusted) = (self.signing.clone(), self.trusted.clone());
        let trust = TrustOptions { scope: scope.clone(), usual: None, signing, trusted };
        let SharedCache { blobs, all_actions, .. } = self.cache.trusting(&trust);
        VolumeStore { blobs, versions: all_actions, own: Some(self.cache.only(scope)) }
    }
}

/// How often it is looked whether steps have changed volumes.
const EVERY: Duration = Duration::from_secs(60);

/// How long one look may take: 6 GiB at 10 MiB a second.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long a worker that ends takes for what is left. Volumes are speed.
pub(super) const LAST: Duration = Duration::from_secs(20);

/// Publishes what steps change, from time to time. Does not end.
pub(super) async fn publish(volumes: Volumes) {
    loop {
        tokio::time::sleep(EVERY).await;
        volumes.publish(PATIENCE).await;
    }
}
