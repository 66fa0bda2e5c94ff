//! A shared cache that is not there, or as bad as that.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use cullet_tests::{Checkout, Outcome, User};

use super::{checkout, command, outcome, published, run, said};

/// A run with a bucket at this address.
fn with_bucket(checkout: &Checkout, address: &str) -> (Outcome, Duration) {
    let mut command = command(&User::new(), checkout, "s3://bucket/prefix", &[]);
    command.env("AWS_ENDPOINT_URL", format!("http://{address}")).env("AWS_REGION", "x");
    command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "secret");
    let before = Instant::now();
    let outcome = outcome(&command.output().unwrap());
    (outcome, before.elapsed())
}

/// Twenty steps, one after the other.
fn chain() -> Checkout {
    let mut pipeline =
        "cullet: 1\nname: chain\nsteps:\n  s0: { run: echo > o, outputs: { o: o } }\n".to_owned();
    for step in 1..20 {
        let before = step - 1;
        pipeline.push_str(&format!(
            "  s{step}: {{ run: 'cat i > o; echo >> o', inputs: {{ i: s{before}.o }}, outputs: {{ o: o }} }}\n"
        ));
    }
    Checkout::of_pipeline(&pipeline)
}

#[test]
fn a_directory_that_is_gone_is_said_once_and_not_made() {
    let (shared, checkout) = published();
    let gone = shared.path().join("gone");
    let alone = run(&User::new(), &checkout, &gone, &[]);
    assert_eq!((alone.executed().len(), said(&alone).len()), (3, 1), "{:?}", said(&alone));
    assert!(said(&alone)[0].contains("gone") && !gone.exists());
    // Neither is one that is a file.
    let file = shared.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(said(&run(&User::new(), &checkout, &file, &[])).len(), 1);
}

#[test]
fn doctor_says_whether_runs_go_on_without_it() {
    let (dir, checkout) = (tempfile::tempdir().unwrap(), checkout());
    let config = dir.path().join("config.toml");
    let gone = dir.path().join("gone");
    for (more, code, said) in [
        (String::new(), Some(0), "runs go on without it; look whether it is there"),
        (format!("mode = \"write\"\nsigning-key = {:?}", dir.path().join("none.pem")), Some(3), "none.pem"),
    ] {
        fs::write(&config, format!("[cache]\nshared = {gone:?}\n{more}\n")).unwrap();
        let doctor = User::new().command(checkout.path(), ["doctor"]).env("CULLET_CONFIG", &config).output();
        let doctor = doctor.unwrap();
        let text = String::from_utf8_lossy(&doctor.stdout).into_owned();
        let shared = text.split_once(" shared ").unwrap().1;
        assert!(doctor.status.code() == code && shared.contains(said), "{:?}: {text}", doctor.status);
        assert_eq!(shared.contains("runs go on"), code == Some(0), "{text}");
    }
}

#[test]
fn a_bucket_that_never_answers_costs_seconds_and_one_warning() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let checkout = chain();
    let begun = Instant::now();
    User::new().run(&checkout).assert_success();
    let usual = begun.elapsed();
    let (run, took) = with_bucket(&checkout, &listener.local_addr().unwrap().to_string());
    assert_eq!((run.executed().len(), said(&run).len()), (20, 1), "{:?}", said(&run));
    assert!(said(&run)[0].contains("s3://bucket/prefix did not answer"), "{:?}", said(&run));
    assert!(took < usual * 2 + Duration::from_secs(8), "{took:?} instead of {usual:?}");
}

#[test]
fn a_bucket_that_nobody_serves_costs_one_warning() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (run, took) = with_bucket(&checkout(), &address.to_string());
    assert_eq!((run.executed().len(), said(&run).len()), (3, 1), "{:?}", said(&run));
    assert!(took < Duration::from_secs(20), "{took:?}");
}
