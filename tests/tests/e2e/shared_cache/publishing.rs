//! What a machine made goes to the others, whatever happens meanwhile.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use cullet_tests::{Checkout, User};
use serde_json::Value;

use super::{LARGE, checkout, command, listing, of_shared, paused_at, publish, run, said};

/// Steps that are done at once, and one that takes its time.
const SLOW: &str = r#"
cullet: 1
name: slow
steps:
  fast: { run: echo fast > o, outputs: { o: o } }
  slow: { run: 'cat i; sleep 5; echo > o', inputs: { i: fast.o }, outputs: { o: o } }
"#;

#[test]
fn what_could_not_be_published_is_published_by_the_next_run() {
    let (user, checkout) = (
        User::new(),
        Checkout::of_pipeline("cullet: 1\nname: p\nsteps:\n  s: { run: echo > o, outputs: { o: o } }\n"),
    );
    let dir = tempfile::tempdir().unwrap();
    let shared = dir.path().join("shared");
    fs::write(&shared, "in the way").unwrap();
    let away = publish(&user, &checkout, &shared);
    assert_eq!(of_shared(&away)["unpublished"], 1);
    assert!(
        said(&away).iter().any(|text| text.starts_with("1 result is not published")),
        "{:?}",
        said(&away)
    );
    fs::remove_file(&shared).unwrap();
    let back = publish(&user, &checkout, &shared);
    assert_eq!((back.cached(), &of_shared(&back)["unpublished"]), (vec!["s"], &Value::from(0)));
    assert_eq!(run(&User::new(), &checkout, &shared, &[]).cached(), ["s"]);
}

/// A result of many files, and a step that takes its time.
const MANY: &str = r#"
cullet: 1
name: many
steps:
  many: { run: 'mkdir d && for i in $(seq 3000); do echo $i > d/$i; done', outputs: { d: d } }
  slow: { run: 'ls i | wc -l; sleep 20; echo > o', inputs: { i: many.d }, outputs: { o: o } }
"#;

#[test]
fn a_run_that_is_killed_while_it_publishes_is_no_loss() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(MANY));
    let shared = tempfile::tempdir().unwrap();
    let place = shared.path().to_str().unwrap();
    let mut writing = command(&user, &checkout, place, &[]);
    let mut killed = writing.env("CULLET_SHARED_CACHE_MODE", "write").stdout(Stdio::null()).spawn().unwrap();
    while !shared.path().join("cas").exists() {
        assert!(killed.try_wait().unwrap().is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!shared.path().join("ac").exists(), "the record comes last");
    let mut next = command(&user, &checkout, place, &["many"]);
    let next = super::outcome(&next.env("CULLET_SHARED_CACHE_MODE", "write").output().unwrap());
    assert_eq!((next.cached(), &of_shared(&next)["unpublished"]), (vec!["many"], &Value::from(0)));
    assert!(of_shared(&next)["uploaded_bytes"].as_u64() > Some(0));
    let laptop = run(&User::new(), &checkout, shared.path(), &["many"]);
    assert_eq!(laptop.cached(), ["many"]);
}

#[test]
fn a_killed_run_leaves_what_it_had_to_publish_for_the_next_one() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(SLOW));
    let dir = tempfile::tempdir().unwrap();
    let shared = dir.path().join("shared");
    // Away until the run is killed: what `fast` made is on its way then, however fast it is.
    fs::write(&shared, "in the way").unwrap();
    let mut writing = command(&user, &checkout, shared.to_str().unwrap(), &[]);
    writing.env("CULLET_SHARED_CACHE_MODE", "write");
    let mut killed = paused_at(writing, "slow");
    killed.kill().unwrap();
    killed.wait().unwrap();
    fs::remove_file(&shared).unwrap();
    let next = {
        let mut next = command(&user, &checkout, shared.to_str().unwrap(), &["fast"]);
        super::outcome(&next.env("CULLET_SHARED_CACHE_MODE", "write").output().unwrap())
    };
    assert_eq!((next.cached(), &of_shared(&next)["unpublished"]), (vec!["fast"], &Value::from(0)));
    assert_eq!(run(&User::new(), &checkout, &shared, &["fast"]).cached(), ["fast"]);
}

#[test]
fn what_was_removed_there_is_published_again_by_who_has_it() {
    let (user, checkout, shared) = (User::new(), checkout(), tempfile::tempdir().unwrap());
    publish(&user, &checkout, shared.path());
    let large = format!("-{LARGE}");
    let files = listing(shared.path()).into_iter().map(|(path, _)| path);
    let lost: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(&large)).collect();
    assert_eq!(lost.len(), 1);
    fs::remove_file(&lost[0]).unwrap();
    let warm = publish(&user, &checkout, shared.path());
    assert_eq!((warm.cached().len(), warm.executed().len()), (3, 0));
    assert_eq!(fs::metadata(&lost[0]).unwrap().len(), LARGE);
    checkout.write("two", "3\n");
    let laptop = run(&User::new(), &checkout, shared.path(), &[]);
    assert_eq!((laptop.cached(), laptop.executed()), (vec!["make"], vec!["other", "use"]));
}
