//! What the documentation of the language promises about failures and repetitions.

use cullet_tests::{Checkout, Outcome, User};

use super::support::{alive, nap};

const RULES: &str = r#"
cullet: 1
params: { go: false }
steps:
  outside: { run: "echo acted", effects: true }
  flaky: { run: "exit 4", retries: 2 }
  allowed: { run: "exit 5", allow_failure: true }
  after_allowed: { needs: [allowed], run: "true" }
  never: { if: "params.go", run: "true" }
  after_never: { needs: [never], run: "true" }
  grid: { matrix: { i: [1, 2], j: [a, b], exclude: [{ i: 1, j: b }], include: [{ i: 9, j: z }] }, run: "echo ${{ matrix.i }}" }
  same1: { run: "sleep 0.3; echo same > o", outputs: { o: o } }
  same2: { run: "sleep 0.3; echo same > o", outputs: { o: o } }
  late: { run: "sleep 100", timeout: 200ms, allow_failure: true }
"#;

fn count(outcome: &Outcome, event: &str, step: &str) -> usize {
    outcome.events.iter().filter(|it| it["event"] == event && it["step"] == step).count()
}

fn status<'a>(outcome: &'a Outcome, step: &str) -> &'a str {
    &outcome.steps[step].status
}

#[test]
fn every_rule_cold_and_warm() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(RULES));
    for warm in [false, true] {
        let run = user.run_with(&checkout, ["--keep-going"]);
        assert_eq!(run.exit_code, 1, "{}", run.stderr);
        assert!(status(&run, "outside") == "succeeded" && !run.steps["outside"].cached);
        assert_eq!((status(&run, "flaky"), count(&run, "step_started", "flaky")), ("failed", 3));
        assert_eq!((status(&run, "allowed"), status(&run, "after_allowed")), ("failed", "skipped"));
        assert_eq!((status(&run, "never"), status(&run, "after_never")), ("skipped", "skipped"));
        assert!(run.steps["never"].reason.as_deref().unwrap().contains("params.go"));
        assert_eq!(status(&run, "late"), "timed_out");
        let grid: Vec<_> = run.steps.keys().filter(|name| name.starts_with("grid")).collect();
        assert_eq!(grid, ["grid[i=1,j=a]", "grid[i=2,j=a]", "grid[i=2,j=b]", "grid[i=9,j=z]"]);
        let same = ["same1", "same2"].map(|step| count(&run, "step_started", step));
        assert_eq!(same.iter().sum::<usize>(), usize::from(!warm), "identical steps execute once");
        assert_eq!(run.steps["grid[i=1,j=a]"].cached, warm);
    }
    let allowed = user.run_with(&checkout, ["allowed", "late", "same1"]);
    assert_eq!(allowed.exit_code, 0, "{}", allowed.stderr);
    assert_eq!(
        status(&user.run_with(&checkout, ["after_never", "--param", "go=true"]), "after_never"),
        "succeeded"
    );
}

#[test]
fn failing_fast_starts_nothing_more_and_keeping_going_does() {
    let text = "cullet: 1\nsteps:\n  bad: { run: 'sleep 0.5; exit 1' }\n  slow: { run: 'sleep NAP' }\n  \
                late: { needs: [slow], run: 'true' }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text.replace("NAP", &nap(11))));
    let run = user.run_with(&checkout, ["--jobs", "2"]);
    assert_eq!(run.exit_code, 1);
    assert_eq!(
        (status(&run, "bad"), status(&run, "slow"), status(&run, "late")),
        ("failed", "cancelled", "skipped")
    );
    assert_eq!(alive(&nap(11)), 0);
    checkout.edit("cullet.yaml", &nap(11), "0.1");
    let run = user.run_with(&checkout, ["--jobs", "2", "--keep-going"]);
    assert_eq!((status(&run, "slow"), status(&run, "late")), ("succeeded", "succeeded"));
}

#[test]
fn a_step_that_wants_more_than_the_machine_has_runs_alone() {
    let text = "cullet: 1\nsteps: { big: { run: 'true', resources: { cpu: 1000, memory: 900TiB } } }\n";
    User::new().run(&Checkout::of_pipeline(text)).assert_success();
}
