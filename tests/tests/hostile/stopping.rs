//! Runs that are told to stop.

use std::process::Output;
use std::time::{Duration, Instant};

use cullet_tests::{Checkout, User};

use super::support::{Running, alive, expect, expect_right_cache, nap, said, start, until};

/// A step that ignores every signal it can, and one that would like to clean up.
fn stubborn(marker: &str) -> Checkout {
    let text = format!(
        "cullet: 1\nsteps:\n  stubborn: {{ run: \"trap '' TERM INT HUP; while :; do sleep {marker}; done\" }}\n  \
         after: {{ needs: [stubborn], run: 'true' }}\n"
    );
    Checkout::of_pipeline(&text)
}

fn started(user: &User, checkout: &Checkout, marker: &str) -> Running {
    let run = start(user, checkout, &["run", "--progress", "plain"]);
    until("the step runs", || alive(marker) > 0);
    run
}

#[track_caller]
fn expect_cancelled(user: &User, checkout: &Checkout, marker: &str, output: &Output) {
    expect(output, 130, &["stubborn: cancelled", "cancelled pipeline"]);
    assert_eq!(alive(marker), 0, "processes are left");
    expect(&user.cullet(checkout, ["runs"]), 0, &["cancelled"]);
    expect(&user.cullet(checkout, ["status"]), 0, &["cancelled"]);
    expect_right_cache(user, checkout);
}

#[test]
fn once_cancels_and_kills_what_does_not_listen() {
    for (name, marker) in [("INT", nap(1)), ("TERM", nap(2))] {
        let (user, checkout) = (User::new(), stubborn(&marker));
        let run = started(&user, &checkout, &marker);
        run.signal(name);
        let output = run.output();
        expect_cancelled(&user, &checkout, &marker, &output);
    }
}

#[test]
fn twice_is_at_once() {
    let marker = nap(3);
    let (user, checkout) = (User::new(), stubborn(&marker));
    let run = started(&user, &checkout, &marker);
    run.signal("INT");
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    run.signal("INT");
    let output = run.output();
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    until("the step is gone", || alive(&marker) == 0);
    checkout.edit("cullet.yaml", &format!("while :; do sleep {marker}; done"), "true");
    user.run(&checkout).assert_success();
    let left: Vec<_> = std::fs::read_dir(user.cache().join("work")).unwrap().flatten().collect();
    assert!(left.is_empty(), "the next run sweeps: {left:?}");
}

#[test]
fn cancel_from_another_process() {
    let marker = nap(4);
    let (user, checkout) = (User::new(), stubborn(&marker));
    let run = started(&user, &checkout, &marker);
    until("the step is written down", || said(&user.cullet(&checkout, ["status"])).contains("stubborn"));
    expect(&user.cullet(&checkout, ["status"]), 0, &["running"]);
    let listed = user.cullet(&checkout, ["runs", "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let name = listed["run"].as_str().unwrap();
    expect(&user.cullet(&checkout, ["cancel", name]), 0, &["being cancelled"]);
    let output = run.output();
    expect_cancelled(&user, &checkout, &marker, &output);
    expect(&user.cullet(&checkout, ["cancel", name]), 2, &["is over"]);
    expect(&user.cullet(&checkout, ["cancel", "zzz"]), 2, &["there is no run 'zzz'", "hint:"]);
}

#[test]
fn a_step_that_listens_may_clean_up() {
    let text = "cullet: 1\nsteps:\n  tidy: { run: \"trap 'sleep 0.2; echo cleaned; exit 3' TERM; while :; do sleep 0.1 || :; done\" }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(text));
    let run = started(&user, &checkout, "echo cleaned");
    std::thread::sleep(Duration::from_millis(200));
    run.signal("INT");
    let output = run.output();
    expect(&output, 130, &["tidy: cancelled"]);
    expect(&user.cullet(&checkout, ["logs", "tidy"]), 0, &["cleaned"]);
}

#[test]
fn a_timeout_kills_what_does_not_listen() {
    let marker = nap(5);
    let (user, checkout) = (User::new(), stubborn(&marker));
    checkout.edit("cullet.yaml", "done\" }", "done\", timeout: 500ms }");
    let run = user.run(&checkout);
    assert_eq!(run.exit_code, 1, "{}", run.stderr);
    assert_eq!(run.steps["stubborn"].status, "timed_out");
    assert_eq!(run.steps["after"].status, "skipped");
    assert_eq!(alive(&marker), 0);
    assert!(!user.run(&checkout).steps["stubborn"].cached, "a timeout is not remembered");
}
