//! Cache volumes of steps on a cluster: those of each worker's machine, of each tenant and each pipeline.

use std::time::Duration;

use cullet_tests::bucket::Bucket;
use cullet_tests::cluster::Cluster;
use cullet_tests::{Outcome, User, cullet_binary};

const COUNT: &str = "cullet: 1\nname: NAME\nsteps:\n  count:\n    run: 'echo x >> /tmp/c/times; wc -l < /tmp/c/times'\n    \
                     caches: { /tmp/c: { volume: counter, shared: locked } }\n";

fn said(outcome: &Outcome) -> Vec<&str> {
    let logs = outcome.events.iter().filter(|event| event["event"] == "step_log");
    logs.filter_map(|event| event["text"].as_str()).collect()
}

#[test]
fn a_worker_keeps_the_volumes_of_its_machine() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let [one, other] = ["one", "other"].map(|name| cluster.pipeline(name, &COUNT.replace("NAME", name)));
    for (dir, arguments, expected) in [
        (&one, &["--no-cache"][..], "1"),
        (&one, &["--no-cache"], "2"),
        (&other, &["--no-cache"], "1"),
        (&one, &["--no-cache", "--tenant", "else"], "1"),
        (&one, &["--no-cache"], "3"),
    ] {
        let outcome = cluster.run(dir, arguments);
        outcome.assert_success();
        assert_eq!(said(&outcome), [expected], "{:?}", outcome.events);
    }
    let cached = cluster.run(&one, &[]);
    assert_eq!(cached.cached(), ["count"], "results are kept as they are without volumes");
}

#[test]
fn workers_that_reach_the_store_share_a_volume_that_travels_and_laptops_have_it_too() {
    let bucket = Bucket::start();
    let place = "s3://bucket/volumes";
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 1, 3).storing_in(&bucket, "volumes");
    cluster.run_coordinator(0);
    let text = COUNT.replace("NAME", "travels").replace("shared: locked", "shared: true");
    let dir = cluster.pipeline("p", &text);
    for (worker, arguments, expected) in
        [(0, &["--store", place][..], "1"), (1, &["--store", place], "2"), (2, &[], "1")]
    {
        cluster.run_worker(worker, arguments);
        cluster.with_workers(1);
        let outcome = cluster.run(&dir, &["--no-cache"]);
        outcome.assert_success();
        assert_eq!(said(&outcome), [expected], "{:?}\n{}", outcome.events, cluster.logs());
        // One that ends sends what is left.
        let ended = cluster.take_worker(worker).terminate(Duration::from_secs(30));
        assert_eq!(ended, Some(0), "{}", cluster.logs());
    }
    assert!(cluster.logs().contains("this worker has no --store of its own"), "{}", cluster.logs());
    let (laptop, mut command) = (User::new(), cluster.command());
    command.args(["run", "--no-cache", "--progress", "json"]).current_dir(&dir);
    command.env("CULLET_CACHE_DIR", laptop.cache()).env("CULLET_SHARED_CACHE", place);
    let there = Outcome::of(&command.output().unwrap());
    there.assert_success();
    assert_eq!(said(&there), ["3"], "{:?}", there.events);
}
