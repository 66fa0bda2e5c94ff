//! How long coordinators wait for each other, how much of the log they keep, and what else the library has to be told.

use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

use super::node::NodeError;
use crate::planted::{self, Bug};

/// How patient a coordinator is, and how long its log gets.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How often a leader says that it is there.
    pub heartbeat: Duration,
    /// How long a leader's word holds: for one and a half times this nobody else is voted for. A follower that heard
    /// nothing for that time, and then for a random one between this and one and a half times this, stands for election:
    /// it takes two and a half to three times this until a lost leader is noticed.
    pub election: Duration,
    /// How long a leader that no quorum answers goes on: then it takes itself for cut off, and lets others lead.
    pub silence: Duration,
    /// How long a call waits for a quorum, and a node for word of how far the cluster is: longer than it takes until those
    /// who reach each other have a leader, so that a coordinator is only given up by its clients where there is none.
    pub commit: Duration,
    /// Entries after which the log is replaced by a snapshot.
    pub snapshot_entries: u64,
    /// Entries kept behind a snapshot, so that a follower that was away for a moment need not get all of it.
    pub kept_entries: u64,
}

impl Default for Timing {
    /// For coordinators in one data centre: a lost leader is replaced in about a second, and one that others still hear in
    /// about four: it goes on for twenty-five heartbeats without an answer.
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election: Duration::from_millis(320),
            silence: Duration::from_millis(2_500),
            commit: Duration::from_secs(5),
            snapshot_entries: SNAPSHOT_ENTRIES,
            kept_entries: KEPT_ENTRIES,
        }
    }
}

/// An entry is a batch, so this is some tens of thousands of
/// transitions, replayed in well under a second.
const SNAPSHOT_ENTRIES: u64 = 5_000;

/// A fifth of it: a follower that misses more was away for longer than a moment.
const KEPT_ENTRIES: u64 = 1_000;

pub(super) fn config(timing: &Timing) -> Result<Arc<Config>, NodeError> {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: "cullet".to_owned(),
        heartbeat_interval: millis(timing.heartbeat),
        election_timeout_min: millis(timing.election),
        // The library takes this for the lease as well, so it is what a lost leader costs first of all.
        election_timeout_max: millis(timing.election).saturating_mul(3) / 2,
        install_snapshot_timeout: 60_000,
        max_payload_entries: 256,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(timing.snapshot_entries),
        max_in_snapshot_log_to_keep: timing.kept_entries,
        replication_lag_threshold: timing.snapshot_entries,
        enable_pre_vote: Some(true),
        // A leader sends entries while it writes them itself. One that goes on in its term after it lost some would give
        // the same index in the same term to another entry.
        enable_leader_restore: Some(planted::is(Bug::RestoreLeader)),
        ..Config::default()
    };
    config.validate().map(Arc::new).map_err(|error| NodeError::Timing(error.to_string()))
}
