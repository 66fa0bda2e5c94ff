//! Clusters of real processes on this machine.

mod clients;
mod etcd;
mod failover;
mod flood;
mod load;
mod steps;
mod workers;

pub(crate) use etcd::run as etcd;
pub(crate) use failover::run as failover;
pub(crate) use flood::run as flood;
pub(crate) use steps::run as steps;

use cullet_tests::cluster::Cluster;

use crate::Result;
use crate::cullet::binary;

/// What a coordinator has by itself, in seconds.
const LEASE: &str = "10";

/// Runs and steps that are remembered: more than there are in any of these.
const KEEP: &str = "1000000";

/// Three coordinators that agree, and so many workers.
fn start(workers: usize) -> Result<Cluster> {
    let mut cluster = Cluster::prepare(binary()?.clone(), 3, workers).leasing(LEASE);
    (0..3).for_each(|position| run_coordinator(&mut cluster, position));
    cluster.agreed();
    (0..workers).for_each(|position| cluster.run_worker(position, &[]));
    cluster.with_workers(workers);
    Ok(cluster)
}

/// Starts one that forgets no run, so that those that are asked for at the end are there or lost.
fn run_coordinator(cluster: &mut Cluster, position: usize) {
    cluster.run_coordinator_with(position, &["--keep-runs", KEEP, "--keep-steps", KEEP]);
}

/// The value that this part of all do not exceed.
fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get(((last as f64) * part).ceil() as usize).copied().unwrap_or_default()
}
