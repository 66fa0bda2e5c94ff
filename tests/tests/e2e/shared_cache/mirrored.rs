//! What one bucket has is brought to another one.

use cullet_tests::bucket::Bucket;

use super::collected::{in_bucket, ran};
use super::*;

#[test]
fn all_of_one_is_copied_to_another_and_a_second_time_what_is_new() {
    let (bucket, checkout, ci) = (Bucket::start(), checkout(), User::new());
    let publishes = || {
        let mut command = in_bucket(&ci, &checkout, &bucket, &["run", "--progress", "json"]);
        command.env("CULLET_SHARED_CACHE_MODE", "write");
        ran(command)
    };
    let mirror = |more: &[&str]| {
        let arguments = ["cache", "mirror", "s3://bucket/cache", "s3://bucket/site", "--format", "json"];
        let arguments: Vec<&str> = arguments.into_iter().chain(more.iter().copied()).collect();
        let output = in_bucket(&ci, &checkout, &bucket, &arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let at_the_site = || {
        let mut command = in_bucket(&User::new(), &checkout, &bucket, &["run", "--progress", "json"]);
        command.env("CULLET_SHARED_CACHE", "s3://bucket/site");
        ran(command)
    };
    publishes();
    let first = mirror(&[]);
    assert_eq!((first["copied"].as_u64(), first["present"].as_u64()), (Some(3), Some(0)), "{first}");
    assert_eq!(at_the_site().cached().len(), 3);
    checkout.write("two", "3\n");
    assert_eq!(publishes().executed().len(), 2);
    let second = mirror(&["--verify"]);
    assert_eq!((second["copied"].as_u64(), second["present"].as_u64()), (Some(2), Some(3)), "{second}");
    assert_eq!(second["mended"].as_u64(), Some(0), "{second}");
    assert_eq!(at_the_site().cached().len(), 3);
    // Nobody's results are others' because they were copied.
    assert_eq!(mirror(&["--scope", "protected"])["present"].as_u64(), Some(0));
}

#[test]
fn what_cannot_be_copied_is_said() {
    let (bucket, checkout, user) = (Bucket::start(), checkout(), User::new());
    for (from, to, code, why) in [
        ("s3://bucket/a", "/somewhere", 2, "any program that copies files"),
        ("nothing-here", "s3://bucket/a", 2, "nothing-here"),
        ("s3://bucket/a", "oci://a", 2, "oci://"),
        ("s3://elsewhere/a", "s3://bucket/b", 3, "run it again"),
    ] {
        let output = in_bucket(&user, &checkout, &bucket, &["cache", "mirror", from, to]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{from} {to}: {said}");
        assert!(said.contains(why), "{from} {to}: {said}");
    }
}
