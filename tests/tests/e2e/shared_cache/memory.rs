//! What large blobs take of the memory.

use std::process::{Command, Stdio};
use std::time::Duration;

use cullet_tests::{Checkout, Outcome, User};

use super::command;

/// A file that is like no other.
const PIPELINE: &str = "cullet: 1\nname: large\nsteps:\n  a:\n    run: head -c 300000000 /dev/urandom > out\n    outputs: { o: out }\n\
                        outputs: { o: a.o }\n";

/// Runs it, and says how many MiB of memory it had that are no file's.
fn peak(mut command: Command) -> (Outcome, u64) {
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", process.id());
    let mut peak = 0;
    while process.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kib = text
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next()?.parse().ok());
        peak = peak.max(kib.unwrap_or(0) / 1024);
        std::thread::sleep(Duration::from_millis(5));
    }
    (Outcome::of(&process.wait_with_output().unwrap()), peak)
}

#[test]
fn a_large_file_comes_and_goes_in_small_pieces() {
    let (checkout, dir) = (Checkout::of_pipeline(PIPELINE), tempfile::tempdir().unwrap());
    let shared = dir.path().join("shared");
    let shared = shared.to_str().unwrap();
    let (one, another) = (User::new(), User::new());
    let mut publishes = command(&one, &checkout, shared, &[]);
    publishes.env("CULLET_SHARED_CACHE_MODE", "write");
    let (published, most) = peak(publishes);
    published.assert_success();
    assert_eq!(published.executed(), ["a"]);
    assert!(most < 150, "{most} MiB for publishing");
    let output = dir.path().join("out");
    let (found, most) = peak(command(&another, &checkout, shared, &["--output", output.to_str().unwrap()]));
    found.assert_success();
    assert_eq!(found.cached(), ["a"]);
    assert_eq!(std::fs::metadata(output.join("o")).unwrap().len(), 300_000_000);
    assert!(most < 150, "{most} MiB for fetching");
}
