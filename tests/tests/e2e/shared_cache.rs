//! A cache that machines share, behind the one that each of them has.

mod away;
mod collected;
mod memory;
mod mirrored;
mod promote;
mod publishing;
mod trust;
mod volumes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use cullet_tests::{Checkout, Outcome, User};
use serde_json::Value;
use tempfile::TempDir;

const PIPELINE: &str = r#"
cullet: 1
name: laptop
sources:
  one: { path: ., include: [/one] }
  two: { path: ., include: [/two] }
steps:
  make:
    inputs: { .: one }
    run: mkdir d && cp one d/made && head -c 300000 /dev/zero > d/large && seq 1 20000
    outputs: { d: d }
  other:
    inputs: { .: two }
    run: cp two other
    outputs: { o: other }
  use:
    inputs: { d: make.d, o: other.o }
    run: cat d/made o > used
    outputs: { used: used }
outputs: { used: use.used }
"#;

/// Bytes of `d/large`.
const LARGE: u64 = 300_000;

fn checkout() -> Checkout {
    let checkout = Checkout::of_pipeline(PIPELINE);
    checkout.write("one", "1\n");
    checkout.write("two", "2\n");
    checkout
}

/// A run of a user with a shared cache.
fn command(user: &User, checkout: &Checkout, shared: &str, arguments: &[&str]) -> Command {
    let all = ["run", "--progress", "json"].into_iter().chain(arguments.iter().copied());
    let mut command = user.command(checkout.path(), all);
    command.env("CULLET_SHARED_CACHE", shared);
    command
}

fn run(user: &User, checkout: &Checkout, shared: &Path, arguments: &[&str]) -> Outcome {
    outcome(&command(user, checkout, text(shared), arguments).output().unwrap())
}

fn publish(user: &User, checkout: &Checkout, shared: &Path) -> Outcome {
    let mut command = command(user, checkout, text(shared), &[]);
    outcome(&command.env("CULLET_SHARED_CACHE_MODE", "write").output().unwrap())
}

fn outcome(output: &Output) -> Outcome {
    let outcome = Outcome::of(output);
    outcome.assert_success();
    outcome
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A shared cache with the results of the pipeline.
fn published() -> (TempDir, Checkout) {
    let (shared, checkout) = (tempfile::tempdir().unwrap(), checkout());
    let made = publish(&User::new(), &checkout, shared.path());
    assert_eq!(made.executed(), ["make", "other", "use"]);
    let of_shared = of_shared(&made);
    assert_eq!(
        (&of_shared["unpublished"], of_shared["uploaded_bytes"].as_u64() > Some(LARGE)),
        (&Value::from(0), true)
    );
    (shared, checkout)
}

/// What the end of the run says of the shared cache.
fn of_shared(outcome: &Outcome) -> Value {
    let end = outcome.events.iter().find(|event| event["event"] == "run_finished").unwrap();
    end["shared_cache"].clone()
}

/// Sentences about the shared cache.
fn said(outcome: &Outcome) -> Vec<&str> {
    let notes = outcome.events.iter().filter(|event| event["kind"] == "shared_cache");
    notes.map(|note| note["text"].as_str().unwrap()).collect()
}

/// Files below a directory, with their lengths and bytes.
fn listing(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(listing(&path));
        } else {
            found.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

/// How many blobs of more than a few hundred bytes a user has, and whether the large one is among them.
fn has_large(user: &User) -> bool {
    let blobs = user.cache().join("cas");
    blobs.exists() && listing(&blobs).iter().any(|(_, bytes)| bytes.len() as u64 == LARGE)
}

/// The objects of the shared cache with these bytes.
fn objects_with(shared: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let all = listing(&shared.join("cas")).into_iter();
    let found: Vec<PathBuf> = all.filter(|(_, its)| its == bytes).map(|(path, _)| path).collect();
    assert!(!found.is_empty(), "it is there");
    found
}

#[test]
fn a_laptop_gets_hits_and_downloads_only_what_it_needs() {
    let (shared, checkout) = published();
    let before = listing(shared.path());
    let laptop = User::new();
    let first = run(&laptop, &checkout, shared.path(), &[]);
    assert_eq!(first.cached(), ["make", "other", "use"]);
    assert!(
        first.events.iter().filter(|event| event["cached"] == true).all(|event| event["from"] == "shared")
    );
    let of_first = of_shared(&first);
    assert_eq!((&of_first["cached_shared"], &of_first["cached_local"]), (&Value::from(3), &Value::from(0)));
    assert!(!has_large(&laptop) && of_first["downloaded_bytes"].as_u64() < Some(1000), "{of_first}");

    // The outputs alone.
    let second = run(&laptop, &checkout, shared.path(), &["--output", "out"]);
    assert_eq!(of_shared(&second)["cached_local"], 3);
    assert_eq!(fs::read_to_string(checkout.path().join("out/used")).unwrap(), "1\n2\n");
    assert!(!has_large(&laptop));
    assert_eq!(of_shared(&second)["downloaded_bytes"], 4);

    // The log, when it is asked for.
    let mut logs = laptop.command(checkout.path(), ["logs", "make"]);
    let without = logs.output().unwrap();
    assert_eq!(without.status.code(), Some(3), "{without:?}");
    let with = logs.env("CULLET_SHARED_CACHE", shared.path()).output().unwrap();
    assert!(with.status.success() && with.stdout.ends_with(b"\n20000\n"), "{:?}", with.stderr);

    // Only the difference runs, with inputs from there.
    checkout.write("two", "two\n");
    let edited = run(&laptop, &checkout, shared.path(), &["--output", "out"]);
    assert_eq!((edited.executed(), edited.cached()), (vec!["other", "use"], vec!["make"]));
    assert!(has_large(&laptop));
    assert_eq!(fs::read_to_string(checkout.path().join("out/used")).unwrap(), "1\ntwo\n");
    assert_eq!(listing(shared.path()), before, "who reads changes nothing");

    let stats = laptop.command(checkout.path(), ["cache", "stats"]).output().unwrap();
    let stats = String::from_utf8(stats.stdout).unwrap();
    assert!(stats.contains("hits       4 of this cache, 3 of a shared cache; "), "{stats}");
}

#[test]
fn the_flag_takes_back_what_the_environment_says_and_bad_places_are_refused() {
    let (shared, checkout) = published();
    let alone = run(&User::new(), &checkout, shared.path(), &["--shared-cache", ""]);
    assert_eq!((alone.executed().len(), of_shared(&alone)), (3, Value::Null));
    let named = User::new().run_with(&checkout, ["--shared-cache", text(shared.path())]);
    assert_eq!(named.cached().len(), 3);
    let refused = command(&User::new(), &checkout, "gopher://x", &[]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(why.contains("CULLET_SHARED_CACHE: 'gopher://' cannot be a shared cache"), "{why}");
}

/// A run whose step `name` has started: it waits until the file of that name is in the checkout.
fn paused_at(mut command: Command, name: &str) -> Child {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut events = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let started = format!("\"event\":\"step_started\",\"step\":\"{name}\"");
    while !line.contains(&started) {
        line.clear();
        assert_ne!(std::io::BufRead::read_line(&mut events, &mut line).unwrap(), 0, "it ended");
    }
    child.stdout = Some(events.into_inner());
    child
}

#[test]
fn what_is_gone_when_it_is_needed_is_made_again_in_the_same_run() {
    let (shared, checkout) = published();
    checkout.write("two", "two\n");
    let text = PIPELINE.replace("run: cp two other", "run: sleep 3 && cp two other");
    checkout.write("cullet.yaml", &text);
    let laptop = User::new();
    let child = paused_at(
        command(&laptop, &checkout, shared.path().to_str().unwrap(), &["--output", "out"]),
        "other",
    );
    // `make` is a hit by now, and nothing of it was fetched.
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert!(!has_large(&laptop));
    for object in objects_with(shared.path(), &vec![0; LARGE as usize]) {
        fs::remove_file(object).unwrap();
    }
    let ended = child.wait_with_output().unwrap();
    let events = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{events}\n{}", String::from_utf8_lossy(&ended.stderr));
    assert!(
        events.contains("outputs of make can no longer be read from the cache: running it again"),
        "{events}"
    );
    assert_eq!(fs::read_to_string(checkout.path().join("out/used")).unwrap(), "1\ntwo\n");
}
