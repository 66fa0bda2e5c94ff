//! Workers that are killed in the middle of a step: another one runs it, and of what it did nothing is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cullet_tests::cluster::{Cluster, until};

use super::processes::{Seen, below};
use super::support::timed;

/// Where the kernel has the group of a process that limits its memory.
fn memory_group(process: u32) -> PathBuf {
    let membership = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap();
    let own = |controller: &str| {
        membership
            .lines()
            .find_map(|line| line.split_once(':')?.1.strip_prefix(controller)?.strip_prefix(':'))
    };
    let (root, path) = match own("memory") {
        Some(path) => ("/sys/fs/cgroup/memory", path),
        None => ("/sys/fs/cgroup", own("").unwrap()),
    };
    Path::new(root).join(path.trim_start_matches('/'))
}

/// What lies in the directories of attempts.
fn attempts(cluster: &Cluster, worker: usize) -> Vec<PathBuf> {
    let list = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path());
    let sessions = list(cluster.dir().join(format!("worker-{worker}/work")));
    sessions.flat_map(|session| list(session.join("attempts"))).collect()
}

/// A step with a limit, a child and a child that went away from it, whose worker is killed like this.
fn killed_mid_step(kill: impl FnOnce(&mut Cluster, usize, &[Seen])) {
    let mut cluster = Cluster::start(1, 2);
    cluster.with_workers(2);
    let text = "cullet: 1\nname: killed\nsteps:\n  s:\n    run: |\n      echo half > left\n      \
                (setsid sleep 7 &)\n      sleep 7 &\n      echo begun\n      wait\n    \
                limits: { memory: 64MiB }\n";
    let mut run = cluster.begin_run(&cluster.pipeline("killed", text), &[]);
    let worker = usize::from(run.until("step_started").contains("\"worker\":\"w1\""));
    run.until("begun");
    let tree = until("both children", || {
        let tree = below(cluster.worker(worker).unwrap().id());
        (tree.iter().filter(|it| it.name == "sleep").count() == 2).then_some(tree)
    });
    let group = memory_group(tree.iter().find(|it| it.name == "sleep").unwrap().id);
    assert!(group.file_name().unwrap().to_str().unwrap().starts_with("cullet."), "{}", group.display());
    assert!(group.exists() && !attempts(&cluster, worker).is_empty());

    let killed = Instant::now();
    kill(&mut cluster, worker, &tree);
    let ((), took) = timed(|| {
        until("nothing of it goes on", || tree.iter().all(|it| !it.is_running()).then_some(()));
    });
    assert!(took < Duration::from_secs(5), "its processes went on for {took:?}");
    // Of the new attempt the client is told when it has given up the log of the one before.
    until("another worker begins", || cluster.logs().contains("attempt=2").then_some(()));
    let took = killed.elapsed();
    println!("started again {took:?} after the worker was killed");
    // The lease is two seconds; the rest is for a busy machine.
    assert!(took < Duration::from_secs(8), "{took:?}");
    let again = run.until("step_started");
    assert!(again.contains(&format!("\"worker\":\"w{}\"", 1 - worker)), "{again}");
    let ended = run.outcome();
    ended.assert_success();
    assert_eq!(ended.events.iter().filter(|event| event["event"] == "step_started").count(), 2);

    cluster.run_worker(worker, &[]);
    cluster.with_workers(2);
    assert_eq!(attempts(&cluster, worker), Vec::<PathBuf>::new(), "the next one cleans up");
    assert!(!group.exists(), "{} is still there", group.display());
}

#[test]
fn a_step_of_a_killed_worker_runs_again_and_leaves_nothing() {
    killed_mid_step(|cluster, worker, _| cluster.kill_worker(worker));
}

#[test]
fn a_step_that_is_killed_with_its_worker_and_launcher_runs_again_and_leaves_nothing() {
    killed_mid_step(|cluster, worker, tree| {
        let own = cluster.worker(worker).unwrap().id();
        // Together, as when a container is killed.
        let all = tree.iter().map(|it| it.id).chain([own]).map(|id| id.to_string());
        // What has died with the one before need not be killed.
        let _ = Command::new("kill").arg("-9").args(all).output().unwrap();
        cluster.kill_worker(worker);
    });
}
