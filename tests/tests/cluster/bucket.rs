//! A cluster whose store is a bucket.

use std::time::Duration;

use cullet_tests::bucket::Bucket;
use cullet_tests::cluster::{Cluster, until};
use cullet_tests::{Outcome, User, cullet_binary};

const PIPELINE: &str = r#"
cullet: 1
name: bucket
steps:
  make:
    run: mkdir -p d/e && seq 1 200 | while read i; do echo $i > d/e/$i; done
    outputs: { d: d }
  use:
    inputs: { d: make.d }
    run: cat d/e/7 > used
    outputs: { used: used }
outputs: { used: use.used, all: make.d }
"#;

fn warnings(outcome: &Outcome) -> Vec<String> {
    let notes = outcome.events.iter().filter(|event| event["event"] == "note" && event["level"] == "warning");
    notes.map(|note| note["text"].to_string()).collect()
}

#[test]
fn results_are_recorded_for_everybody_whoever_reaches_the_bucket() {
    let bucket = Bucket::start();
    for (prefix, direct) in [("through", false), ("straight", true)] {
        let place = format!("s3://bucket/{prefix}");
        let mut cluster = Cluster::prepare(cullet_binary().clone(), 1, 1).storing_in(&bucket, prefix);
        cluster.run_coordinator(0);
        let straight = ["--store", &place];
        cluster.run_worker(0, if direct { &straight } else { &[] });
        cluster.with_workers(1);
        let dir = cluster.pipeline("p", PIPELINE);
        let first = cluster.run(&dir, &[]);
        first.assert_success();
        assert_eq!((first.executed().len(), warnings(&first)), (2, Vec::new()), "{prefix}");
        // One that remembers nothing.
        cluster.kill_coordinator(0);
        cluster.run_coordinator(0);
        cluster.with_workers(1);
        let again = cluster.run(&dir, &["--output", "o"]);
        again.assert_success();
        assert_eq!(again.cached().len(), 2, "{prefix}");
        assert_eq!(std::fs::read_to_string(dir.join("o/used")).unwrap(), "7\n");
        assert_eq!(std::fs::read_dir(dir.join("o/all/e")).unwrap().count(), 200);

        // What it found is kept for laptops, which ask once then.
        let kept = format!("bucket/{prefix}/run/");
        let is_kept =
            || bucket.files().iter().any(|file| file.to_string_lossy().contains(&kept)).then_some(());
        until("what the runs found is kept", is_kept);

        // With the tools of the workers, and nothing else of them.
        let (laptop, mut command) = (User::new(), cluster.command());
        command.args(["run", "--progress", "json"]).current_dir(&dir);
        command.env("CULLET_CACHE_DIR", laptop.cache()).env("CULLET_SHARED_CACHE", &place);
        let there = Outcome::of(&command.output().unwrap());
        there.assert_success();
        assert_eq!(there.cached().len(), 2, "{prefix}");
    }
}

#[test]
fn runs_wait_for_a_store_that_is_away() {
    let bucket = Bucket::start();
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 1, 1).storing_in(&bucket, "p");
    cluster.run_coordinator(0);
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    let dir = cluster.pipeline("p", &PIPELINE.replace("mkdir", "sleep 1 && mkdir"));
    let mut running = cluster.begin_run(&dir, &[]);
    running.until("step_started");
    // When it has the outputs of the first step, whose result is to be recorded before the second is looked up.
    bucket.leave_at("/p/ac/");
    running.until("the store does not answer");
    assert!(bucket.is_away());
    std::thread::sleep(Duration::from_secs(15));
    bucket.come_back();
    let outcome = running.outcome();
    outcome.assert_success();
    assert_eq!(outcome.executed().len(), 2);
    let waiting = |said: &&String| said.contains("the store does not answer; use waits for it, 10 minutes");
    assert_eq!(warnings(&outcome).iter().filter(waiting).count(), 1, "{:?}", warnings(&outcome));
}
