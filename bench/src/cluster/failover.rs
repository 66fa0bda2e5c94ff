//! A leader that is killed again and again, while runs are submitted and steps run.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cullet_tests::cluster::Cluster;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::clients::Client;
use super::percentile;
use crate::Result;
use crate::check::{Report, Target, seconds};

/// How often the leader is killed.
const KILLS: usize = 100;
/// Clients that submit all the time.
const CLIENTS: usize = 4;
/// Seconds for 99 of 100, and for each.
const P99: f64 = 2.0;
const WORST: f64 = 5.0;
/// Between two submissions of one client: the load is there to be seen through, not to fill the disk.
const PAUSE: Duration = Duration::from_millis(20);
/// Every so many runs, one has a step that is running when a leader dies.
const LONG: usize = 10;

/// What clients were told.
#[derive(Default)]
struct Heard {
    /// When a submission began that was acknowledged, and when it was.
    acknowledged: Vec<(Instant, Instant)>,
    runs: Vec<String>,
}

type Shared = Arc<Mutex<Heard>>;

pub(crate) fn run(report: &mut Report) -> Result<()> {
    report.heading("failover: the leader is killed under load");
    let mut cluster = super::start(2)?;
    let urls: Vec<String> = (0..3).map(|position| cluster.url(position)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (heard, stop) = (Shared::default(), CancellationToken::new());
    let clients: Vec<JoinHandle<()>> = (0..CLIENTS)
        .map(|at| {
            let client = runtime.block_on(async { Client::new(&urls, at) });
            client.map(|client| runtime.spawn(submit(client, heard.clone(), stop.clone())))
        })
        .collect::<Result<_>>()?;
    let mut gaps = Vec::new();
    for kill in 0..KILLS {
        gaps.push(kill_once(&mut cluster, &heard)?);
        if (kill + 1) % 25 == 0 {
            report.note(&format!("{} kills", kill + 1));
        }
    }
    stop.cancel();
    for client in clients {
        runtime.block_on(client)?;
    }
    let worst = gaps.iter().copied().fold(0.0, f64::max);
    let runs = std::mem::take(&mut heard.lock().unwrap_or_else(PoisonError::into_inner).runs);
    let mut client = runtime.block_on(async { Client::new(&urls, 0) })?;
    let (lost, again) = runtime.block_on(check(&mut client, &runs));
    report.note(&format!("median {}", seconds(percentile(&mut gaps, 0.5))));
    report.compare("unavailable, p99", percentile(&mut gaps, 0.99), P99, Target::AtMost(1.0), seconds);
    report.compare("unavailable, worst", worst, WORST, Target::AtMost(1.0), seconds);
    report.note(&format!("{} acknowledged runs: {lost} lost, {again} steps started twice", runs.len()));
    if lost + again > 0 {
        return Err("an acknowledged run was lost, or a running step was run again".into());
    }
    Ok(())
}

async fn submit(mut client: Client, heard: Shared, stop: CancellationToken) {
    let mut number = 0;
    while !stop.is_cancelled() {
        number += 1;
        let command = if number % LONG == 0 { "sleep 2" } else { "true" };
        let unique = fastrand::u64(..);
        let pipeline = format!(
            "cullet: 1\nname: f\nsteps:\n  s: {{ run: '{command} # {unique}', resources: {{ cpu: 0.1 }} }}\n"
        );
        let began = Instant::now();
        let run = client.submit(&pipeline).await;
        {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.acknowledged.push((began, Instant::now()));
            heard.runs.push(run);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Seconds from the death of the leader until a submission is acknowledged that was answered after it.
fn kill_once(cluster: &mut Cluster, heard: &Shared) -> Result<f64> {
    let led = cluster.leader_of(&cluster.agreed_leader());
    cluster.kill_coordinator(led);
    let killed = Instant::now();
    let deadline = killed + Duration::from_secs(60);
    let resumed = loop {
        let first = {
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            heard.acknowledged.iter().rev().take(1000).map(|(_, at)| *at).filter(|at| *at > killed).min()
        };
        match first {
            Some(at) => break at,
            None if Instant::now() > deadline => {
                return Err(format!("nobody leads: {}", cluster.logs()).into());
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    super::run_coordinator(cluster, led);
    // Two can be missing of five, but not of three: the next kill waits until it is back.
    cluster.agreed_leader();
    std::thread::sleep(Duration::from_millis(fastrand::u64(200..800)));
    Ok((resumed - killed).as_secs_f64())
}

/// How many runs are lost, and how many steps were started more than once.
async fn check(client: &mut Client, runs: &[String]) -> (usize, usize) {
    let (mut lost, mut again) = (0, 0);
    for run in runs {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let known = client.get(run).await;
            let status =
                known.as_ref().and_then(|run| run.summary.as_ref()).map(|summary| summary.status.clone());
            match status.as_deref() {
                Some("running") if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await
                }
                Some("succeeded") => {
                    let attempts = known.into_iter().flat_map(|run| run.steps).map(|step| step.attempt);
                    again += attempts.filter(|attempt| *attempt > 1).count();
                    break;
                }
                _ => {
                    lost += 1;
                    break;
                }
            }
        }
    }
    (lost, again)
}
