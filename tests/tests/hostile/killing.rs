//! Cullet killed at any moment: no process is left, nothing wrong is stored, and the next run is right.

use std::collections::BTreeMap;
use std::time::Duration;

use cullet_tests::{Outcome, User};

use super::support::{alive, expect_right_cache, fan, nap, shell, start, until};

fn keys(outcome: &Outcome) -> BTreeMap<&str, Option<&str>> {
    outcome.steps.iter().map(|(name, step)| (name.as_str(), step.action_digest.as_deref())).collect()
}

/// The moments are spread over a cold run, and over the runs that go on from what a killed one left.
#[test]
fn thirty_times_at_different_moments() {
    let marker = format!("KILLED-{}", nap(6));
    let (whole, checkout) = (User::new(), fan(&marker));
    let reference = whole.run_with(&checkout, ["--output", "reference"]);
    reference.assert_success();
    for round in 0..10 {
        let user = User::new();
        for part in 0..3 {
            let run = start(&user, &checkout, &["run", "--progress", "json"]);
            std::thread::sleep(Duration::from_millis(23 * (round * 3 + part) % 500 + 5));
            run.kill();
            until("no process is left", || alive(&marker) == 0);
        }
        expect_right_cache(&user, &checkout);
        let after = user.run_with(&checkout, ["--output", "after"]);
        after.assert_success();
        assert_eq!(keys(&after), keys(&reference));
        shell(checkout.path(), "diff -r reference after");
        let left: Vec<_> = std::fs::read_dir(user.cache().join("work")).unwrap().flatten().collect();
        assert!(left.is_empty(), "round {round}: the next run sweeps: {left:?}");
        let warm = user.run(&checkout);
        warm.assert_success();
        assert_eq!(warm.executed(), [""; 0]);
        expect_right_cache(&user, &checkout);
    }
}

#[test]
fn a_killed_run_is_listed_as_interrupted_and_can_be_looked_at() {
    let marker = nap(7);
    let text = format!(
        "cullet: 1\nsteps:\n  quick: {{ run: 'echo quick' }}\n  slow: {{ needs: [quick], run: 'sleep {marker}' }}\n"
    );
    let (user, checkout) = (User::new(), cullet_tests::Checkout::of_pipeline(&text));
    let run = start(&user, &checkout, &["run", "--progress", "plain"]);
    until("the slow step runs", || alive(&marker) > 0);
    std::thread::sleep(Duration::from_millis(300));
    run.kill();
    until("no process is left", || alive(&marker) == 0);
    super::support::expect(&user.cullet(&checkout, ["runs"]), 0, &["interrupted"]);
    let words = ["interrupted", "quick", "did not finish", "1 executed"];
    super::support::expect(&user.cullet(&checkout, ["status"]), 0, &words);
    super::support::expect(&user.cullet(&checkout, ["logs", "quick"]), 0, &["quick"]);
    assert_ne!(user.cullet(&checkout, ["why", "slow"]).status.code(), Some(101));
    super::support::expect(&user.cullet(&checkout, ["cache", "clear"]), 0, &["is empty"]);
}
