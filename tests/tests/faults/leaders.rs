//! Leaders that are killed while steps run and runs are submitted.

use std::path::Path;
use std::time::Duration;

use cullet_tests::cluster::{Cluster, until};
use cullet_tests::cullet_binary;

use super::support::{led_among, timed};

const ROUNDS: usize = 6;
const RUNS: usize = 8;

/// A step that sees the machine, and writes there that it was executed.
fn counted(cluster: &Cluster, name: &str) -> String {
    let executed = cluster.dir().join(format!("{name}.executed"));
    let text = format!(
        "cullet: 1\nname: {name}\nsteps:\n  s: {{ run: 'echo once >> {}; sleep 2 # {name}' }}\n",
        executed.display()
    );
    cluster.detach(&cluster.pipeline(name, &text))
}

fn executions(dir: &Path, name: &str) -> usize {
    let executed = std::fs::read_to_string(dir.join(format!("{name}.executed"))).unwrap_or_default();
    executed.lines().count()
}

#[test]
fn leaders_that_are_killed_lose_no_run_and_no_step_runs_again() {
    // What is longer than an election is not what is looked at.
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 3, 2)
        .with_variable("CULLET_EXECUTOR", "plain")
        .leasing("30");
    (0..3).for_each(|position| cluster.run_coordinator(position));
    cluster.agreed();
    (0..2).for_each(|position| cluster.run_worker(position, &[]));
    cluster.with_workers(2);
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let led = cluster.leader_of(&cluster.agreed_leader());
        let others: Vec<usize> = (0..3).filter(|position| *position != led).collect();
        let name = |run: usize| format!("round-{round}-{run}");
        let runs = std::thread::scope(|scope| {
            let submitting = scope.spawn(|| {
                (0..RUNS).map(|run| (name(run), counted(&cluster, &name(run)))).collect::<Vec<_>>()
            });
            // Some are running, some are on their way.
            until("one runs", || (executions(cluster.dir(), &name(0)) > 0).then_some(()));
            std::thread::sleep(Duration::from_millis(40 * round as u64));
            cluster.coordinator(led).unwrap().signal("-KILL");
            let (_, took) = timed(|| until("another leader", || led_among(&cluster, &others)));
            println!("another leader after {took:?}");
            // A second on a machine that is not busy.
            assert!(took < Duration::from_secs(10), "{took:?}");
            submitting.join().unwrap()
        });
        acknowledged.extend(runs);
        cluster.kill_coordinator(led);
        cluster.run_coordinator(led);
    }
    cluster.agreed();
    assert_eq!(acknowledged.len(), ROUNDS * RUNS);
    for (name, run) in &acknowledged {
        let attached = cluster.cullet(&["attach", run, "--cluster", &cluster.urls(), "--progress", "json"]);
        assert_eq!(attached.exit_code, 0, "{name}: {}", attached.stderr);
        let starts =
            attached.stdout.lines().filter(|line| line.contains("\"event\":\"step_started\"")).count();
        assert_eq!((starts, executions(cluster.dir(), name)), (1, 1), "{name}: {}", attached.stdout);
    }
    cluster.agreed();
}
