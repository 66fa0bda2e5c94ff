//! Garbage collection of the bucket behind it.

use cullet_tests::bucket::Bucket;

use super::*;

const PLACE: &str = "s3://bucket/cache";

pub(super) fn in_bucket(user: &User, checkout: &Checkout, bucket: &Bucket, arguments: &[&str]) -> Command {
    let mut command = user.command(checkout.path(), arguments.iter().copied());
    command.env("CULLET_SHARED_CACHE", PLACE).envs(bucket.variables());
    command
}

pub(super) fn ran(mut command: Command) -> Outcome {
    outcome(&command.output().unwrap())
}

/// One round that keeps nothing which is not in use now.
fn round(user: &User, checkout: &Checkout, bucket: &Bucket) -> Value {
    let arguments =
        ["cache", "gc", "--shared-cache", PLACE, "--keep", "0s", "--grace", "1h", "--format", "json"];
    let output = in_bucket(user, checkout, bucket, &arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn what_nobody_uses_is_announced_and_goes_and_runs_make_it_again() {
    let (bucket, checkout) = (Bucket::start(), checkout());
    let ci = User::new();
    let publishes = |ci: &User| {
        let mut command = in_bucket(ci, &checkout, &bucket, &["run", "--progress", "json"]);
        command.env("CULLET_SHARED_CACHE_MODE", "write");
        ran(command)
    };
    let hits = |user: &User| ran(in_bucket(user, &checkout, &bucket, &["run", "--progress", "json"]));
    assert_eq!(publishes(&ci).executed().len(), 3);
    let laptop = User::new();
    assert_eq!(hits(&laptop).cached().len(), 3);

    // The store's clock has whole seconds: what is stored in the second of the announcement may have come after it, and stays.
    bucket.age(Duration::from_secs(10));
    let announced = round(&ci, &checkout, &bucket);
    assert_eq!((announced["removed"].as_u64(), announced["announced"].as_u64() > Some(2)), (Some(0), true));
    let waits = round(&ci, &checkout, &bucket);
    assert!(waits["waits_s"].as_u64() > Some(3000), "{waits}");
    assert_eq!(hits(&User::new()).cached().len(), 3, "what is announced is still there");

    let two_hours = Duration::from_secs(2 * 3600);
    bucket.age(two_hours);
    let removed = round(&ci, &checkout, &bucket);
    assert_eq!(removed["results"].as_u64(), Some(3), "{removed}");
    // It is known to the second when that was.
    std::thread::sleep(Duration::from_millis(1100));
    let laptop = User::new();
    assert_eq!(hits(&laptop).executed().len(), 3);
    let why = in_bucket(&laptop, &checkout, &bucket, &["why", "make"]).output().unwrap();
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains(&format!("its result was evicted from {PLACE} at ")), "{why}");

    // What only those results needed goes a grace later, and the machine that has them publishes all of it again.
    bucket.age(two_hours);
    let rest = round(&ci, &checkout, &bucket);
    assert!(rest["removed_bytes"].as_u64() > Some(1000), "{rest}");
    assert_eq!(rest["announced"].as_u64(), Some(0), "{rest}");
    assert_eq!(publishes(&ci).cached().len(), 3);
    assert_eq!(hits(&User::new()).cached().len(), 3);
}

#[test]
fn garbage_is_collected_in_buckets_only() {
    let (user, checkout) = (User::new(), checkout());
    let gc = |arguments: &[&str]| {
        let all = ["cache", "gc"].into_iter().chain(arguments.iter().copied());
        let output = user.command(checkout.path(), all).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (place, why) in
        [("oci://localhost:1/a", "retention rules"), ("/nowhere", "remove files"), ("oci://a", "oci://")]
    {
        let (code, said) = gc(&["--shared-cache", place]);
        assert_eq!(code, Some(2), "{place}: {said}");
        assert!(said.contains(why), "{place}: {said}");
    }
    let (code, said) = gc(&["--shared-cache", "s3://b", "--grace", "10m"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("at least 1h"), "{said}");
    let (code, said) = gc(&["--keep", "3d"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--shared-cache"), "{said}");
}
