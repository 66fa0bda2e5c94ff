//! A cluster goes to the next version of the program and back, one process after the other, while it works.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cullet_tests::cluster::{Cluster, Process, until};
use cullet_tests::{cullet_binary, next_binary};
use serde_json::Value;

use super::puppet::{fill_log, snapshots};

/// For a process that was asked to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody whose runs have to succeed all the time. Gives how many did.
fn work(mut run: Command, dir: &Path, stop: &AtomicBool) -> usize {
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let text = format!("cullet: 1\nname: load\nsteps:\n  s: {{ run: 'echo {done}' }}\n");
        std::fs::write(dir.join("cullet.yaml"), text).unwrap();
        let output = run.output().unwrap();
        assert!(output.status.success(), "run {done}: {}", String::from_utf8_lossy(&output.stderr));
        done += 1;
    }
    done
}

/// Ends a coordinator as its operator does, and starts this program in its place.
fn replace(cluster: &mut Cluster, position: usize, program: &Path) {
    cluster.become_program(program);
    assert_eq!(cluster.take_coordinator(position).terminate(PATIENCE), Some(0));
    cluster.run_coordinator(position);
    cluster.agreed_leader();
}

fn replace_worker(cluster: &mut Cluster, position: usize, program: &Path) {
    cluster.become_program(program);
    assert_eq!(cluster.take_worker(position).terminate(PATIENCE), Some(0));
    cluster.run_worker(position, &[]);
    cluster.with_workers(2);
}

fn versions(cluster: &Cluster, position: usize) -> [Value; 2] {
    let status = cluster.status(position).unwrap();
    ["log_version", "newest_log_version"].map(|key| status[key].clone())
}

fn upgrade(cluster: &Cluster) -> String {
    let answer = cluster.cullet(&["cluster", "upgrade", "--cluster", &cluster.urls()]);
    assert_eq!(answer.exit_code, 0, "{}", answer.stderr);
    answer.stdout
}

/// Lets one of these lead.
fn lead(cluster: &Cluster, position: usize) {
    let status = cluster.agreed_leader();
    if cluster.leader_of(&status) != position {
        let id = cluster.id(position);
        let moved = cluster.cullet(&["cluster", "transfer", &id, "--cluster", &cluster.urls()]);
        assert_eq!(moved.exit_code, 0, "{}", moved.stderr);
    }
    until("it leads", || (cluster.leader_of(&cluster.agreed_leader()) == position).then_some(()));
}

/// An older coordinator takes what a newer one wrote for it: over the network, and on its own disk.
fn exchange_snapshots(cluster: &mut Cluster, old: &Path) {
    lead(cluster, 1);
    assert_eq!(cluster.take_coordinator(0).terminate(PATIENCE), Some(0));
    let was_without = snapshots(&cluster.data(0)).is_empty();
    let led = cluster.data(1);
    fill_log(cluster, 1, || !snapshots(&led).is_empty());
    cluster.become_program(old);
    cluster.run_coordinator(0);
    cluster.agreed_leader();
    assert!(was_without && !snapshots(&cluster.data(0)).is_empty(), "it got a snapshot of the next version");
    replace(cluster, 1, old);
    assert!(!snapshots(&cluster.data(1)).is_empty());
}

/// The older program says why it cannot go on in a cluster that was upgraded.
fn refuses(cluster: &mut Cluster, position: usize, old: &Path) {
    assert_eq!(cluster.take_coordinator(position).terminate(PATIENCE), Some(0));
    cluster.become_program(old);
    let log = cluster.dir().join("refused.log");
    let mut process = Process::start(cluster.coordinator_command(position), &log);
    let code = until("it ends", || process.exit_code());
    let said = std::fs::read_to_string(log).unwrap();
    assert!(code == 3 && said.contains("start the newer program"), "{code}: {said}");
}

#[test]
fn a_cluster_is_upgraded_and_taken_back_while_it_works() {
    let (old, next) = (cullet_binary(), next_binary());
    let mut cluster = Cluster::prepare(old.clone(), 3, 2);
    (0..3).for_each(|position| cluster.run_coordinator(position));
    cluster.agreed();
    (0..2).for_each(|position| cluster.run_worker(position, &[]));
    cluster.with_workers(2);

    let dir = cluster.pipeline("load", "");
    let mut run = cluster.command();
    run.current_dir(&dir).args(["run", "--progress", "json", "--cluster", &cluster.urls()]);
    let stop = AtomicBool::new(false);
    let (done, met) = std::thread::scope(|scope| {
        let working = scope.spawn(|| work(run, &dir, &stop));
        let steps = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..3).for_each(|position| replace(&mut cluster, position, next));
            replace_worker(&mut cluster, 0, next);
            (0..3).for_each(|position| assert_eq!(versions(&cluster, position), [1, 2]));
            // Nobody is bound to it so far.
            replace(&mut cluster, 0, old);
            assert!(upgrade(&cluster).contains("knows no newer one"));
            assert_eq!(versions(&cluster, 0), [1, 1]);
            exchange_snapshots(&mut cluster, old);
            (0..2).for_each(|position| replace(&mut cluster, position, next));
            let said = upgrade(&cluster);
            assert!(said.contains("version 2 of the log, the newest"), "{said}");
            // Whoever leads from here on says what only this version can say.
            lead(&cluster, 1);
            lead(&cluster, 2);
            (0..3).for_each(|position| assert_eq!(versions(&cluster, position), [2, 2]));
            refuses(&mut cluster, 1, old);
            cluster.become_program(next);
            cluster.run_coordinator(1);
            replace_worker(&mut cluster, 1, next);
        }));
        stop.store(true, Ordering::Relaxed);
        (working.join(), steps)
    });
    let done = done.unwrap();
    if let Err(panic) = met {
        std::panic::resume_unwind(panic);
    }
    // The hash is a chain over all commands and what followed from them.
    cluster.agreed();
    let listed =
        cluster.cullet(&["runs", "--format", "json", "--limit", "10000", "--cluster", &cluster.urls()]);
    let succeeded = listed.stdout.matches("\"succeeded\"").count();
    println!("{done} runs succeeded meanwhile");
    assert!(done > 10 && succeeded == done, "{succeeded} of {done}: {}", listed.stderr);
}
