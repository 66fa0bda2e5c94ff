//! Cache volumes that travel by way of the shared cache.

use cullet_tests::bucket::Bucket;

use super::collected::{in_bucket, ran};
use super::*;

/// A step that counts the files of a volume, and does something with them.
const VOLUME: &str = "cullet: 1\nname: travelling\nparams: { n: 0, do: 'true' }\nsteps:\n  use:\n    run: |\n      \
                      echo ${{ params.n }} > /dev/null; ls /tmp/c | wc -l\n      cd /tmp/c; ${{ params.do }}\n    \
                      caches: { /tmp/c: { volume: v, shared: true } }\n";

/// Twenty files of 200 kB, which nothing makes smaller.
const FILL: &str = "for i in $(seq 20); do head -c 200000 /dev/urandom > f$i; done";

/// Two of them.
const CHANGE: &str = "for i in 3 17; do head -c 200000 /dev/urandom > f$i; done";

fn run(user: &User, bucket: &Bucket, checkout: &Checkout, mode: &str, params: &[&str]) -> Outcome {
    let all =
        ["run", "--progress", "json"].into_iter().chain(params.iter().flat_map(|param| ["--param", param]));
    let mut command = in_bucket(user, checkout, bucket, &all.collect::<Vec<_>>());
    command.env("CULLET_SHARED_CACHE_MODE", mode);
    ran(command)
}

fn printed(outcome: &Outcome) -> Vec<&str> {
    let logs = outcome.events.iter().filter(|event| event["event"] == "step_log");
    logs.filter_map(|event| event["text"].as_str()).collect()
}

/// Of the volumes of a run, what came and what went.
fn moved(outcome: &Outcome) -> (u64, u64) {
    let of = |key: &str| of_shared(outcome)[key].as_u64().unwrap();
    (of("volumes_downloaded_bytes"), of("volumes_uploaded_bytes"))
}

#[test]
fn what_one_laptop_publishes_another_has_and_a_changed_file_moves_few_bytes() {
    let (bucket, checkout) = (Bucket::start(), Checkout::of_pipeline(VOLUME));
    let (ci, laptop) = (User::new(), User::new());
    let fill = format!("do={FILL}");
    let (first, sent, _) = bucket.moved_by(|| run(&ci, &bucket, &checkout, "write", &[&fill]));
    assert_eq!(printed(&first), ["0"]);
    assert!((4_000_000..4_200_000).contains(&sent), "{sent}");
    assert!((4_000_000..4_100_000).contains(&moved(&first).1), "{:?}", moved(&first));

    let (there, sent, got) = bucket.moved_by(|| run(&laptop, &bucket, &checkout, "read", &["n=1"]));
    assert_eq!((printed(&there), sent), (vec!["20"], 0), "{:?}", there.events);
    assert!((4_000_000..4_200_000).contains(&got), "{got}");
    let again = run(&laptop, &bucket, &checkout, "read", &["n=2"]);
    assert_eq!((printed(&again), moved(&again)), (vec!["20"], (0, 0)));

    let change = format!("do={CHANGE}");
    let (changed, sent, got) = bucket.moved_by(|| run(&ci, &bucket, &checkout, "write", &[&change]));
    assert_eq!(printed(&changed), ["20"]);
    assert!((400_000..500_000).contains(&sent) && got < 50_000, "{sent} {got}");
    let ((), _, got) = bucket.moved_by(|| drop(run(&laptop, &bucket, &checkout, "read", &["n=3"])));
    assert!((400_000..500_000).contains(&got), "{got}");
    assert!(said(&first).is_empty() && said(&there).is_empty() && said(&changed).is_empty());
}

/// One round; what is named counts as used for a month.
fn round(user: &User, checkout: &Checkout, bucket: &Bucket, keep: &str) -> Value {
    let place = "s3://bucket/cache";
    let arguments =
        ["cache", "gc", "--shared-cache", place, "--keep", keep, "--grace", "1h", "--format", "json"];
    let output = in_bucket(user, checkout, bucket, &arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_version_that_stands_is_kept_and_what_it_replaced_is_collected() {
    let (bucket, checkout, ci) = (Bucket::start(), Checkout::of_pipeline(VOLUME), User::new());
    let two_hours = Duration::from_secs(2 * 3600);
    run(&ci, &bucket, &checkout, "write", &[&format!("do={FILL}")]);
    let all = || bucket.files().iter().map(|file| fs::metadata(file).unwrap().len()).sum::<u64>();
    run(&ci, &bucket, &checkout, "write", &["n=1", &format!("do={FILL}")]);
    assert!(all() > 8_000_000, "{}", all());
    for _ in 0..2 {
        bucket.age(two_hours);
        round(&ci, &checkout, &bucket, "30d");
    }
    assert!(all() < 4_500_000, "{}", all());
    assert_eq!(printed(&run(&User::new(), &bucket, &checkout, "read", &["n=2"])), ["20"]);
    // Nobody has used it for long.
    for _ in 0..4 {
        bucket.age(two_hours);
        round(&ci, &checkout, &bucket, "0s");
    }
    assert!(all() < 100_000, "{}", all());
    let alone = run(&User::new(), &bucket, &checkout, "read", &["n=3"]);
    assert_eq!(printed(&alone), ["0"]);
    // Whoever has it publishes all of it when a step has changed it next.
    run(&ci, &bucket, &checkout, "write", &["n=4", "do=echo > more"]);
    assert_eq!(printed(&run(&User::new(), &bucket, &checkout, "read", &["n=5"])), ["21"]);
}
