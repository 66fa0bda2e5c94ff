//! Ten thousand submissions at once, and somebody else who submits now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cullet_tests::cluster::{Cluster, Process};
use tokio_util::sync::CancellationToken;

use super::clients::Client;
use super::percentile;
use crate::Result;
use crate::check::{Report, Target, seconds};
use crate::cullet::binary;
use crate::measure::{mib, resident};

/// Submissions of the one tenant, all under way at once.
const FLOOD: usize = 10_000;
/// Between two submissions of the other one.
const PAUSE: Duration = Duration::from_millis(100);
/// How often those are counted for the calm before.
const CALM: usize = 50;
/// Submissions to a coordinator that takes in few runs at a time.
const BEYOND: usize = 2_000;
/// So many.
const ROOM: &str = "100";
/// What a coordinator may take at most, in MiB.
const RESIDENT: f64 = 1024.0;

pub(crate) fn run(report: &mut Report) -> Result<()> {
    report.heading(&format!("{FLOOD} submissions at once"));
    let store = tempfile::tempdir_in("/dev/shm")?;
    let mut cluster = Cluster::prepare(binary()?.clone(), 3, 0).storing(store.path());
    (0..3).for_each(|position| cluster.run_coordinator(position));
    cluster.agreed();
    let leader = cluster.leader_of(&cluster.agreed_leader());
    let url = cluster.url(leader);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let resident = || mib(resident(cluster.coordinator(leader).map_or(0, Process::id)));
    let (mut calm, mut beside, took, peak) = runtime.block_on(async {
        let attending = tokio::spawn(super::workers::attend(url.clone(), "b0".to_owned()));
        tokio::time::sleep(Duration::from_millis(500)).await;
        let calm = now_and_then(&url, CALM, &CancellationToken::new()).await?;
        let (answered, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let began = Instant::now();
        for _ in 0..FLOOD {
            let (mut client, answered) =
                (Client::new(std::slice::from_ref(&url), 0)?.patient(), answered.clone());
            tokio::spawn(async move {
                client.submit(&super::load::pipeline(1)).await;
                answered.fetch_add(1, Ordering::Relaxed);
            });
        }
        let other = tokio::spawn({
            let (url, stop) = (url.clone(), stop.clone());
            async move { now_and_then(&url, usize::MAX, &stop).await }
        });
        let mut peak: f64 = 0.0;
        while answered.load(Ordering::Relaxed) < FLOOD {
            tokio::time::sleep(Duration::from_millis(50)).await;
            peak = peak.max(resident());
        }
        let took = began.elapsed().as_secs_f64();
        stop.cancel();
        let beside = other.await??;
        attending.abort();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((calm, beside, took, peak))
    })?;
    report.note(&format!("all were accepted after {}", seconds(took)));
    let (calm, beside) = (percentile(&mut calm, 0.99), percentile(&mut beside, 0.99));
    let (beside, calm) = (seconds(beside), seconds(calm));
    report.note(&format!("somebody else's submission, p99: {beside} beside it, {calm} without"));
    let mebibytes = |value: f64| format!("{value:.0} MiB");
    report.compare("the leader's memory", peak, RESIDENT, Target::AtMost(1.0), mebibytes);
    drop(cluster);
    beyond_the_limit(report)
}

/// Many more submissions than there is room for: each is taken in once, and whoever is refused is told when to come back.
fn beyond_the_limit(report: &mut Report) -> Result<()> {
    report.heading(&format!("{BEYOND} submissions where {ROOM} runs have room"));
    let mut cluster = Cluster::prepare(binary()?.clone(), 1, 0);
    cluster.run_coordinator_with(0, &["--max-live-runs", ROOM]);
    cluster.agreed();
    let url = cluster.url(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (waits, took) = runtime.block_on(async {
        let attending = tokio::spawn(super::workers::attend(url.clone(), "b0".to_owned()));
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        let insist = || {
            let client = Client::new(std::slice::from_ref(&url), 0)?.patient();
            Ok(tokio::spawn(async move {
                client.insist(&super::load::pipeline(1)).await.map_err(|error| error.to_string())
            }))
        };
        let clients = (0..BEYOND).map(|_| insist()).collect::<Result<Vec<_>>>()?;
        let mut waits = Vec::new();
        for client in clients {
            waits.extend(client.await??);
        }
        attending.abort();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((waits, began.elapsed().as_secs_f64()))
    })?;
    let longest = waits.iter().max().ok_or("nobody was refused: that was no flood")?;
    let longest = seconds(longest.as_secs_f64());
    report.note(&format!("{} refusals, each with a time to come back, at most {longest}", waits.len()));
    report.note(&format!("all were accepted after {}", seconds(took)));
    Ok(())
}

/// Seconds that each submission took of one who does nothing else.
async fn now_and_then(url: &str, times: usize, stop: &CancellationToken) -> Result<Vec<f64>> {
    let mut client = Client::new(&[url.to_owned()], 0)?.patient();
    let mut took = Vec::new();
    while took.len() < times && !stop.is_cancelled() {
        let began = Instant::now();
        client.submit(&super::load::pipeline(1)).await;
        took.push(began.elapsed().as_secs_f64());
        tokio::time::sleep(PAUSE).await;
    }
    Ok(took)
}
