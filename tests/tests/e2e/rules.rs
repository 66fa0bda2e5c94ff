//! The rules of a run: order, retries, conditions, failures that do not count, work that is the same.

use cullet_tests::{Checkout, Outcome, User};

fn run(steps: &str, arguments: &[&str]) -> Outcome {
    let checkout = Checkout::of_pipeline(&format!("cullet: 1\nname: rules\nsteps:\n{steps}"));
    User::new().run_with(&checkout, arguments.iter().copied())
}

fn starts(outcome: &Outcome, step: &str) -> usize {
    outcome.events.iter().filter(|event| event["event"] == "step_started" && event["step"] == step).count()
}

#[test]
fn a_failure_may_be_allowed_and_is_tried_again_as_often_as_asked() {
    let outcome =
        run("  flaky: { run: 'exit 3', retries: 2, allow_failure: true }\n  good: { run: 'true' }\n", &[]);
    outcome.assert_success();
    assert_eq!(outcome.steps["flaky"].status, "failed");
    assert_eq!(starts(&outcome, "flaky"), 3);
}

#[test]
fn a_condition_skips_with_a_reason() {
    let steps = "  never: { run: 'false', if: \"${{ 1 == 2 }}\" }\n  good: { run: 'true' }\n";
    let outcome = run(steps, &[]);
    outcome.assert_success();
    assert_eq!(outcome.steps["never"].status, "skipped");
    assert!(outcome.steps["never"].reason.is_some());
}

#[test]
fn without_keep_going_the_first_failure_is_the_last() {
    let steps =
        "  bad: { run: 'false' }\n  later: { needs: [bad], run: 'true' }\n  slow: { run: 'sleep 300' }\n";
    let outcome = run(steps, &[]);
    assert_eq!(outcome.exit_code, 1);
    assert_eq!(outcome.steps["later"].status, "skipped");
    assert!(["cancelled", "skipped"].contains(&outcome.steps["slow"].status.as_str()));
}

#[test]
fn the_same_work_is_done_once() {
    let outcome =
        run("  one: { run: 'sleep 0.3' }\n  two: { run: 'sleep 0.3' }\n  other: { run: 'sleep 0.4' }\n", &[]);
    outcome.assert_success();
    assert_eq!(outcome.steps["one"].action_digest, outcome.steps["two"].action_digest);
    assert_eq!(outcome.executed().len(), 2, "{:?}", outcome.executed());
}

#[test]
fn effects_are_never_answered_from_the_cache() {
    let checkout =
        Checkout::of_pipeline("cullet: 1\nname: ship\nsteps:\n  ship: { run: 'true', effects: true }\n");
    let user = User::new();
    for _ in 0..2 {
        let run = user.run(&checkout);
        run.assert_success();
        assert_eq!(run.executed(), ["ship"]);
    }
}
