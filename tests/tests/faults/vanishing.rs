//! Two clusters and ten laptops use one bucket, whose objects vanish meanwhile, as a lifecycle rule removes them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use cullet_tests::bucket::Bucket;
use cullet_tests::cluster::Cluster;
use cullet_tests::{Checkout, Outcome, User};

const LAPTOPS: usize = 10;

/// Laptops that publish what they execute.
const PUBLISHERS: usize = 3;

/// States of the pipeline: so few that most steps are found.
const STATES: u64 = 12;

/// So little that what a laptop has is evicted all the time.
const CACHE_SIZE: &str = "4MiB";

/// Objects of which none are taken away yet.
const FEW: usize = 40;

const PREFIX: &str = "cache";
const PLACE: &str = "s3://bucket/cache";

const PIPELINE: &str = r#"
cullet: 1
name: vanishing
params: { state: "0" }
steps:
  make:
    run: mkdir d && for i in 1 2 3 4 5; do echo "${{ params.state }} $i" > d/$i; done && seq 1 40000 > d/more
    outputs: { d: d }
  large:
    run: seq ${{ params.state }} 90000 > large
    outputs: { l: large }
  turn:
    inputs: { d: make.d, large: large.l }
    run: mkdir o && tail -n 1 large > o/last && cat d/1 d/2 d/3 d/4 d/5 > o/all
    outputs: { o: o }
  use:
    inputs: { o: turn.o, d: make.d }
    run: cat o/all o/last > used && wc -l < d/more >> used
    outputs: { used: used }
outputs: { used: use.used }
"#;

fn expected(state: u64) -> String {
    let lines: String = (1..=5).map(|line| format!("{state} {line}\n")).collect();
    format!("{lines}90000\n40000\n")
}

/// Runs until there were enough, each in a state that comes about by chance.
fn go_on(left: &AtomicUsize, seed: u64, run: impl Fn(&str, &str) -> (Outcome, std::path::PathBuf)) {
    let mut random = fastrand::Rng::with_seed(seed);
    let more = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    while more() {
        let state = random.u64(..STATES);
        let (outcome, dir) = run(&format!("state={state}"), &format!("o{state}"));
        outcome.assert_success();
        let used = std::fs::read_to_string(dir.join("used"));
        let used = used.unwrap_or_else(|error| panic!("{error}: {}\n{:#?}", outcome.stderr, outcome.events));
        assert_eq!(used, expected(state));
        std::fs::remove_dir_all(dir).unwrap();
    }
}

/// Takes objects away, but for those of whoever collects garbage.
fn take_away(bucket: &Bucket, done: &AtomicBool) -> usize {
    let mut random = fastrand::Rng::with_seed(7);
    let is_meant = |path: &Path| {
        let mut parts = path.components().filter_map(|part| part.as_os_str().to_str());
        !parts.any(|part| part.starts_with('.') && part.contains("meta") || ["lock", "gc"].contains(&part))
    };
    let mut taken = 0;
    while !done.load(Ordering::Relaxed) {
        let files: Vec<_> = bucket.files().into_iter().filter(|file| is_meant(file)).collect();
        // Of few, the same one would go again and again: nobody can work with such a bucket.
        if files.len() >= FEW
            && let Some(file) = random.choice(files)
        {
            taken += usize::from(std::fs::remove_file(file).is_ok());
        }
        thread::sleep(Duration::from_millis(100));
    }
    taken
}

#[test]
fn runs_are_right_whatever_vanishes() {
    // By hand: 10,000.
    let runs = std::env::var("CULLET_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(150);
    let (bucket, checkout) = (Bucket::start(), Checkout::of_pipeline(PIPELINE));
    let cluster = || {
        let binary = cullet_tests::cullet_binary().clone();
        let mut cluster = Cluster::prepare(binary, 1, 1).storing_in(&bucket, PREFIX);
        cluster.run_coordinator(0);
        cluster.run_worker(0, &["--cache-size", CACHE_SIZE]);
        cluster.with_workers(1);
        cluster
    };
    let clusters = [cluster(), cluster()];
    let laptops: Vec<User> = (0..LAPTOPS).map(|_| User::new()).collect();
    let (left, done) = (AtomicUsize::new(runs), AtomicBool::new(false));
    let taken = thread::scope(|scope| {
        let mut users = Vec::new();
        for (number, cluster) in (100..).zip(&clusters) {
            let left = &left;
            users.push(scope.spawn(move || {
                let dir = cluster.pipeline("p", PIPELINE);
                go_on(left, number, |state, output| {
                    (cluster.run(&dir, &["--param", state, "--output", output]), dir.join(output))
                });
            }));
        }
        for (number, laptop) in laptops.iter().enumerate() {
            let (left, checkout, bucket) = (&left, &checkout, &bucket);
            users.push(scope.spawn(move || {
                go_on(left, number as u64, |state, output| {
                    let output = laptop.cache().join(output);
                    let arguments = ["run", "--progress", "json", "--param", state, "--output"];
                    let mut command = laptop.command(checkout.path(), arguments);
                    command.arg(&output).envs(bucket.variables()).env("CULLET_SHARED_CACHE", PLACE);
                    command.env("CULLET_CACHE_SIZE", CACHE_SIZE);
                    if number < PUBLISHERS {
                        command.env("CULLET_SHARED_CACHE_MODE", "write");
                    }
                    (Outcome::of(&command.output().unwrap()), output)
                });
            }));
        }
        let thief = scope.spawn(|| take_away(&bucket, &done));
        let ended: Vec<_> = users.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a run failed, or its output was wrong");
        thief.join().unwrap()
    });
    assert!(taken > runs / 20, "{taken} objects were taken away");
}
