//! Workers that finish a step which is another worker's by then.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cullet_tests::cluster::{Cluster, until};

use super::processes::below;
use super::support::{files_below, metric, networked_for};

/// When the worker that was cut off is back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Back {
    /// While the other one runs the step.
    During,
    /// When the run has long ended.
    After,
}

const REFUSED: &str = "cullet_fenced_reports_total";

/// The action cache that the machines share.
fn recorded(cluster: &Cluster) -> BTreeMap<PathBuf, Vec<u8>> {
    files_below(&cluster.store().join("ac"))
}

fn finishes_while_cut_off(back: Back) {
    let mut cluster = networked_for(3, 2);
    // Straight to the store: being cut off from coordinators, it can do all of its work but tell of it.
    let store = cluster.store().display().to_string();
    (0..2).for_each(|worker| cluster.run_worker(worker, &["--store", &store]));
    cluster.with_workers(2);
    let text = "cullet: 1\nname: zombie\nsteps:\n  s:\n    run: |\n      echo begun\n      sleep 6\n      \
                date +%s%N > out\n      cat out\n    outputs: { out: out }\n\
                outputs: { out: s.out }\n";
    let dir = cluster.pipeline("zombie", text);
    let mut run = cluster.begin_run(&dir, &["--output", "."]);
    let zombie = usize::from(run.until("step_started").contains("\"worker\":\"w1\""));
    run.until("begun");
    let network = cluster.network().unwrap();
    let rest: Vec<usize> =
        (0..=cluster.worker_host(2)).filter(|host| *host != cluster.worker_host(zombie)).collect();
    network.part(&[cluster.worker_host(zombie)], &rest);
    let again = run.until("step_started");
    assert!(again.contains(&format!("\"worker\":\"w{}\"", 1 - zombie)), "{again}");
    let process = cluster.worker(zombie).unwrap().id();
    let sleeps = || below(process).iter().any(|it| it.name == "sleep");
    assert!(sleeps(), "it goes on by itself");
    until("it has finished", || (!sleeps()).then_some(()));
    assert_eq!(metric(&cluster, 3, REFUSED), 0);

    let refused = || until("its report is refused", || (metric(&cluster, 3, REFUSED) == 1).then_some(()));
    if back == Back::During {
        network.heal();
        refused();
        assert!(recorded(&cluster).is_empty(), "what is refused is not recorded");
    }
    let ended = run.outcome();
    ended.assert_success();
    let result = recorded(&cluster);
    assert_eq!(result.len(), 1, "{:?}", result.keys());
    let delivered = std::fs::read(dir.join("out")).unwrap();
    if back == Back::After {
        network.heal();
        refused();
    }
    cluster.with_workers(2);
    assert_eq!(metric(&cluster, 3, REFUSED), 1);
    assert_eq!(ended.events.iter().filter(|event| event["event"] == "step_started").count(), 2);
    assert_eq!(ended.events.iter().filter(|event| event["event"] == "step_finished").count(), 1);
    assert!(recorded(&cluster) == result, "the zombie has written into the action cache");
    std::fs::remove_file(dir.join("out")).unwrap();
    let cached = cluster.run(&dir, &["--output", "."]);
    assert_eq!(cached.cached(), ["s"]);
    assert_eq!(std::fs::read(dir.join("out")).unwrap(), delivered, "what the second worker made");
    let shown = cluster.cullet(&["logs", "s", "--cluster", &cluster.url(0)]);
    assert_eq!(shown.stdout.as_bytes(), [b"begun\n", &delivered[..]].concat(), "{}", shown.stderr);
}

#[test]
fn what_a_worker_finishes_while_cut_off_is_refused_while_another_one_runs_it() {
    finishes_while_cut_off(Back::During);
}

#[test]
fn what_a_worker_finishes_while_cut_off_is_refused_when_it_is_long_done() {
    finishes_while_cut_off(Back::After);
}

/// Two volumes of one name, one on each machine.
#[test]
fn what_a_refused_attempt_has_left_in_a_volume_is_whole_and_stays_there() {
    let mut cluster = networked_for(3, 2);
    let store = cluster.store().display().to_string();
    (0..2).for_each(|worker| cluster.run_worker(worker, &["--store", &store]));
    cluster.with_workers(2);
    let text = "cullet: 1\nname: zombie\nsteps:\n  s:\n    run: |\n      echo begun\n      sleep 6\n      \
                echo x >> /tmp/c/times\n      wc -l < /tmp/c/times\n    \
                caches: { /tmp/c: { volume: counter, shared: locked } }\n";
    let dir = cluster.pipeline("zombie", text);
    let mut run = cluster.begin_run(&dir, &["--no-cache"]);
    let zombie = usize::from(run.until("step_started").contains("\"worker\":\"w1\""));
    run.until("begun");
    let network = cluster.network().unwrap();
    let rest: Vec<usize> =
        (0..=cluster.worker_host(2)).filter(|host| *host != cluster.worker_host(zombie)).collect();
    network.part(&[cluster.worker_host(zombie)], &rest);
    run.until("step_started");
    run.outcome().assert_success();
    network.heal();
    until("its report is refused", || (metric(&cluster, 3, REFUSED) == 1).then_some(()));
    cluster.with_workers(2);
    // Both have succeeded once, the one that counts and the one that does not. Steps that run at the same time are on both.
    let both = "cullet: 1\nname: zombie\nsteps:\n  s:\n    matrix: { n: [1, 2] }\n    resources: { cpu: 4 }\n    run: \
                'echo ${{ matrix.n }} > /dev/null; sleep 4; echo x >> /tmp/c/times; wc -l < /tmp/c/times'\n    \
                caches: { /tmp/c: { volume: counter, shared: locked } }\n";
    let both = cluster.run(&cluster.pipeline("both", both), &["--no-cache"]);
    both.assert_success();
    let logs = both.events.iter().filter(|event| event["event"] == "step_log");
    let said: Vec<&str> = logs.filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(said, ["2", "2"]);
}
