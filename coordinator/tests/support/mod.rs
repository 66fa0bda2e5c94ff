//! What tests of several coordinators share.

use std::time::{Duration, Instant};

use cullet_coordinator::raft::Timing;

/// Short enough for a test, long enough for a machine that does other things as well.
pub(crate) const TIMING: Timing = Timing {
    heartbeat: Duration::from_millis(100),
    election: Duration::from_millis(500),
    silence: Duration::from_secs(2),
    commit: Duration::from_secs(5),
    snapshot_entries: 5_000,
    kept_entries: 1_000,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Asks again until there is an answer.
pub(crate) async fn until<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
