//! The blobs of a cluster.

use std::path::Path;
use std::time::Duration;

use cullet_cache::{GrpcOptions, GrpcStore, StoreError};

use super::Cluster;

/// What one coordinator gets for an answer, or for the next piece of a stream.
const DEADLINE: Duration = Duration::from_secs(10);

/// How often all coordinators are asked again without any progress. With the pauses in between this is some seconds,
/// in which an election ends.
const RETRIES: u32 = 10;

impl Cluster {
    /// Blobs of the cluster, from whichever coordinator sends or takes them. Large ones on their way are spooled below
    /// `dir`, or among the temporary files of the machine where nothing can be written there.
    pub(crate) fn store(&self, dir: &Path) -> Result<GrpcStore, StoreError> {
        let open = |dir: &Path| {
            let options = GrpcOptions { deadline: DEADLINE, retries: RETRIES, ..GrpcOptions::new(dir) };
            GrpcStore::connect(&self.urls(), &options)
        };
        open(dir).or_else(|_| open(&std::env::temp_dir()))
    }
}
