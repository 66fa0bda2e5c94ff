//! A cluster of coordinators against one of etcd, on the same disk, with the same number of clients.

mod kv;
mod processes;

use std::time::Duration;

use super::load::load;
use super::percentile;
use crate::Result;
use crate::check::{Report, Target, seconds};
use crate::cullet::binary;
use crate::measure::middle;
use cullet_tests::cluster::Cluster;
use processes::Etcd;

/// Clients of each.
const CLIENTS: usize = 64;
/// How long each is measured, and how often in turn.
const TIME: Duration = Duration::from_secs(5);
const ROUNDS: usize = 5;
/// Transitions over puts, and a submission over a put.
const TRANSITIONS: f64 = 3.0;
const SUBMISSION: f64 = 2.0;

pub(crate) fn run(report: &mut Report) -> Result<()> {
    report.heading(&format!("three coordinators against three etcd members, {CLIENTS} clients, in turn"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Blobs are in a bucket elsewhere, where a cluster matters: what is compared is what is agreed on.
    let store = tempfile::tempdir_in("/dev/shm")?;
    let mut cluster = Cluster::prepare(binary()?.clone(), 3, 0).storing(store.path());
    (0..3).for_each(|position| cluster.run_coordinator(position));
    cluster.agreed();
    let etcd = Etcd::start()?;
    let (mut transitions, mut puts) = (Vec::new(), Vec::new());
    let (mut submissions, mut single_puts) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        puts.push(runtime.block_on(kv::puts(&etcd.url(), CLIENTS, TIME))?.0);
        transitions.push(runtime.block_on(load(&cluster, CLIENTS, TIME))?);
        single_puts.append(&mut runtime.block_on(kv::puts(&etcd.url(), 1, TIME))?.1);
        submissions.append(&mut runtime.block_on(super::load::submissions(&cluster, TIME))?);
    }
    let a_second = |value: f64| format!("{value:.0}/s");
    let (transitions, puts) = (middle(transitions), middle(puts));
    report.compare(
        "durable transitions over puts",
        transitions,
        puts,
        Target::AtLeast(TRANSITIONS),
        a_second,
    );
    let (submission, put) = (percentile(&mut submissions, 0.5), percentile(&mut single_puts, 0.5));
    report.compare("a submission over a put, p50", submission, put, Target::AtMost(SUBMISSION), seconds);
    Ok(())
}
