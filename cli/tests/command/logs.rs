use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cullet_cache::{ActionResult, LocalCache, LogStream, OpenOptions};
use cullet_digest::{Digest, DigestFunction};

use crate::past_runs::{begin, end, finish};
use crate::{run, stderr, stdout};

fn cache(home: &Path) -> LocalCache {
    cullet_cache::open(&OpenOptions::new(home.join(".cache/cullet"))).unwrap()
}

fn result(stdout: LogStream, stderr: &'static str, exit_code: i32) -> ActionResult {
    ActionResult {
        exit_code,
        outputs: Vec::new(),
        stdout,
        stderr: LogStream::Inline(stderr.into()),
        interleaving: vec![4, 4],
        worker: "local".to_owned(),
        started_at_ms: 1_600_000_000_000,
        duration_ms: 5,
        usage: Default::default(),
        signature: None,
        trees: Vec::new(),
        times: Default::default(),
    }
}

fn inline(text: &'static str) -> LogStream {
    LogStream::Inline(text.into())
}

/// A run with a failed step and a cached one with a long log.
fn past(home: &Path) -> (LocalCache, Digest, Digest) {
    let cache = cache(home);
    let function = DigestFunction::Blake3;
    let long = "long\n".repeat(100_000);
    let blob = function.digest(long.as_bytes());
    cache.disk.put_bytes_blocking(&blob, long.as_bytes()).unwrap();
    let action = function.digest(b"action");
    cache.all_actions.put_blocking(&action, &result(LogStream::Blob(blob), "", 0)).unwrap();
    let mut recorder = begin(home, "aaaa", &["build", "test[n=1]", "test[n=2]", "later"]);
    finish(&mut recorder, "build", "succeeded", |end| {
        end.cached = true;
        end.action_digest = Some(action.to_string());
    });
    for (step, text) in [("test[n=1]", "out\nrest\n"), ("test[n=2]", "two\n\x1b[2J")] {
        let encoded = result(inline(text), "err\n", 1).encode();
        finish(&mut recorder, step, "failed", |end| {
            end.exit_code = Some(1);
            end.result = Some(STANDARD.encode(encoded));
        });
    }
    finish(&mut recorder, "later", "skipped", |end| end.reason = Some("test failed".to_owned()));
    end(recorder, "aaaa", "failed");
    (cache, action, blob)
}

#[test]
fn failed_steps_are_shown_when_nothing_is_named() {
    let home = tempfile::tempdir().unwrap();
    past(home.path());
    let output = run(home.path(), &["logs"]);
    let expected = "--- test[n=1]: exit code 1 ---\nout\nerr\nrest\n\
                    --- test[n=2]: exit code 1 ---\ntwo\nerr\n\x1b[2J";
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), (expected, ""));
    for args in [&["logs", "aa"][..], &["logs", "test"], &["logs", "aaaa", "test"]] {
        assert_eq!(stdout(&run(home.path(), args)), expected, "{args:?}");
    }
}

#[test]
fn one_step_is_printed_as_it_was_written_and_by_stream() {
    let home = tempfile::tempdir().unwrap();
    past(home.path());
    assert_eq!(stdout(&run(home.path(), &["logs", "test[n=1]"])), "out\nerr\nrest\n");
    assert_eq!(stdout(&run(home.path(), &["logs", "test[n=1]", "--stream", "stderr"])), "err\n");
    assert_eq!(stdout(&run(home.path(), &["logs", "test[n=1]", "--stream", "stdout"])), "out\nrest\n");
}

#[test]
fn a_cached_step_has_the_log_of_its_execution() {
    let home = tempfile::tempdir().unwrap();
    past(home.path());
    let output = run(home.path(), &["logs", "build"]);
    assert_eq!(stdout(&output).len(), 500_000);
    let note = stderr(&output);
    assert!(note.contains("came from the cache") && note.contains("2020-09-13T12:26:40.000Z"), "{note}");
}

#[test]
fn a_reader_that_is_gone_ends_a_long_log_quietly() {
    let home = tempfile::tempdir().unwrap();
    past(home.path());
    let mut command = crate::cullet(home.path(), &["logs", "build"]);
    let pipes = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output).lines().count(), 1, "only the note: {}", stderr(&output));
}

#[test]
fn a_log_that_is_gone_says_so() {
    let home = tempfile::tempdir().unwrap();
    let (cache, action, blob) = past(home.path());
    let path = walk(&home.path().join(".cache/cullet/cas")).into_iter().find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().contains(&blob.hash_hex()[2..]))
    });
    std::fs::remove_file(path.expect("the blob is a file")).unwrap();
    let output = run(home.path(), &["logs", "build"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("no longer in the cache"), "{}", stderr(&output));
    cache.all_actions.remove_blocking(&action).unwrap();
    let output = run(home.path(), &["logs", "build"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("not in the cache"), "{}", stderr(&output));
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() { files.extend(walk(&entry.path())) } else { files.push(entry.path()) }
    }
    files
}

#[test]
fn a_shared_failure_has_the_log_of_the_step_that_was_executed() {
    let home = tempfile::tempdir().unwrap();
    let key = DigestFunction::Blake3.digest(b"identical").to_string();
    // What the cache has for the key is of another execution.
    let cache = cache(home.path());
    let action = Digest::parse(DigestFunction::Blake3, &key).unwrap();
    cache.all_actions.put_blocking(&action, &result(inline("older\n"), "", 0)).unwrap();
    let mut recorder = begin(home.path(), "aaaa", &["a", "b"]);
    for (step, cached) in [("a", false), ("b", true)] {
        finish(&mut recorder, step, "failed", |end| {
            end.cached = cached;
            end.exit_code = Some(1);
            end.action_digest = Some(key.clone());
            end.result = (!cached).then(|| STANDARD.encode(result(inline("out\n"), "err\n", 1).encode()));
        });
    }
    end(recorder, "aaaa", "failed");
    let output = run(home.path(), &["logs", "b"]);
    assert_eq!(
        (output.status.code(), stdout(&output).as_str()),
        (Some(0), "out\nerr\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_result_that_the_run_wrote_down_wins_over_the_cache() {
    let home = tempfile::tempdir().unwrap();
    let action = DigestFunction::Blake3.digest(b"effects");
    cache(home.path()).all_actions.put_blocking(&action, &result(inline("older\n"), "", 0)).unwrap();
    let mut recorder = begin(home.path(), "aaaa", &["deploy"]);
    finish(&mut recorder, "deploy", "succeeded", |end| {
        end.action_digest = Some(action.to_string());
        end.result = Some(STANDARD.encode(result(inline("now\n"), "", 0).encode()));
    });
    end(recorder, "aaaa", "succeeded");
    assert_eq!(stdout(&run(home.path(), &["logs", "deploy"])), "now\n");
}

#[test]
fn steps_without_a_log_say_why() {
    let home = tempfile::tempdir().unwrap();
    past(home.path());
    for (step, why) in [("later", "test failed"), ("nothing", "no step 'nothing'")] {
        let output = run(home.path(), &["logs", step]);
        assert_eq!(output.status.code(), Some(2), "{step}");
        assert!(stderr(&output).contains(why), "{step}: {}", stderr(&output));
    }
    let live = begin(home.path(), "bbbb", &["build"]);
    let output = run(home.path(), &["logs", "bbbb", "build"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("has not finished"), "{}", stderr(&output));
    drop(live);
}
