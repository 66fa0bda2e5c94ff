//! Runs of steps that workers of [`super::workers`] answer at once.

use std::time::{Duration, Instant};

use cullet_tests::cluster::Cluster;

use super::clients::Client;
use super::workers;
use crate::Result;

/// Steps of one run.
const STEPS: usize = 100;

/// Transitions of one step that are in the log before anything follows from them: that it has to be executed, with
/// which it is started, and how that went.
const TRANSITIONS: usize = 2;

/// Has so many clients submit runs and wait for their end, one after the other, for so long. Gives transitions a second.
pub(super) async fn load(cluster: &Cluster, clients: usize, time: Duration) -> Result<f64> {
    let leader = cluster.url(cluster.leader_of(&cluster.agreed_leader()));
    let attending: Vec<_> =
        (0..4).map(|number| tokio::spawn(workers::attend(leader.clone(), format!("b{number}")))).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begin = Instant::now();
    let submitting: Vec<_> = (0..clients)
        .map(|_| Ok(tokio::spawn(runs(Client::new(std::slice::from_ref(&leader), 0)?, begin + time))))
        .collect::<Result<_>>()?;
    let mut steps = 0;
    for client in submitting {
        steps += client.await??;
    }
    let seconds = begin.elapsed().as_secs_f64();
    attending.iter().for_each(tokio::task::JoinHandle::abort);
    Ok((steps * TRANSITIONS) as f64 / seconds)
}

/// Seconds until a submission was acknowledged, each, one after the other.
pub(super) async fn submissions(cluster: &Cluster, time: Duration) -> Result<Vec<f64>> {
    let leader = cluster.url(cluster.leader_of(&cluster.agreed_leader()));
    let attending = tokio::spawn(workers::attend(leader.clone(), "b0".to_owned()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (mut client, until, mut times) = (Client::new(&[leader], 0)?, Instant::now() + time, Vec::new());
    while Instant::now() < until {
        let pipeline = pipeline(1);
        let began = Instant::now();
        client.submit(&pipeline).await;
        times.push(began.elapsed().as_secs_f64());
    }
    attending.abort();
    Ok(times)
}

async fn runs(mut client: Client, until: Instant) -> Result<usize> {
    let mut steps = 0;
    while Instant::now() < until {
        let run = client.submit(&pipeline(STEPS)).await;
        client.end(&run).await?;
        steps += STEPS;
    }
    Ok(steps)
}

/// So many steps that nobody has run before.
pub(super) fn pipeline(steps: usize) -> String {
    let unique = fastrand::u64(..);
    let numbers = (0..steps).map(|step| step.to_string()).collect::<Vec<_>>().join(", ");
    format!(
        "cullet: 1\nname: l\nsteps:\n  s: {{ matrix: {{ n: [{numbers}] }}, run: 'true ${{{{ matrix.n }}}} {unique}' }}\n"
    )
}
