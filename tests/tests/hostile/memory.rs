//! Steps that need more memory than they may have.

use cullet_tests::{Checkout, User};

use super::support::expect;

const PIPELINE: &str = r#"
cullet: 1
steps:
  greedy: { run: [tail, /dev/zero], limits: { memory: 48MiB } }
  kept: { run: "tail /dev/zero > n || true; echo > n", outputs: { n: n }, limits: { memory: 32MiB } }
  modest: { run: "head -c 4M /dev/zero | tail -c 4M > big", outputs: { big: big }, limits: { memory: 64MiB, cpu: 1, processes: 20 } }
"#;

#[test]
fn a_step_that_runs_out_of_memory_says_so_and_costs_nobody_else_anything() {
    let (user, checkout) = (User::new(), Checkout::of_pipeline(PIPELINE));
    let run = user.run_with(&checkout, ["--keep-going"]);
    assert_eq!(run.exit_code, 1, "{}", run.stderr);
    for (step, limit) in [("greedy", "48 MiB"), ("kept", "32 MiB")] {
        let end = run.events.iter().find(|it| it["event"] == "step_finished" && it["step"] == step).unwrap();
        assert_eq!((end["status"].as_str(), end["exit_code"].as_i64()), (Some("failed"), Some(137)), "{end}");
        let reason = end["reason"].as_str().unwrap();
        assert!(reason.contains("out of memory") && reason.contains(limit), "{reason}");
        let peak = end["usage"]["peak_memory_bytes"].as_u64().unwrap();
        assert!((8 << 20..=48 << 20).contains(&peak), "{end}");
    }
    assert_eq!(run.steps["modest"].status, "succeeded");
    // Whoever goes on without a process that was ended has failed as well. It is not tried again, nor taken for the machine's fault.
    assert_eq!(run.events.iter().filter(|it| it["event"] == "step_started").count(), 3);
    // What succeeded within its limits is found, whatever they are.
    checkout.edit("cullet.yaml", "memory: 64MiB, cpu: 1", "memory: 640MiB, cpu: 2");
    let again = user.run_with(&checkout, ["--keep-going", "modest"]);
    again.assert_success();
    assert_eq!(again.cached(), ["modest"]);
    let plain = user.cullet(&checkout, ["run", "--progress", "plain", "greedy"]);
    expect(&plain, 1, &["out of memory: it may have 48 MiB", "raise `limits.memory`"]);
}

#[test]
fn a_machine_can_bound_steps_that_have_no_limits() {
    let pipeline = "cullet: 1\nsteps:\n  greedy: { run: [tail, /dev/zero] }\n  \
        own: { run: 'head -c 40M /dev/zero | tail -c 40M > big', outputs: { big: big }, limits: { memory: 200MiB } }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(pipeline));
    let limits = "[limits]\nmemory = \"32MiB\"\ndisk = \"1GiB\"\nlog = \"none\"\n";
    checkout.write("config.toml", limits);
    let with_file = |arguments: &[&str]| {
        let mut command = user.command(checkout.path(), arguments.iter().copied());
        command.env("CULLET_CONFIG", checkout.path().join("config.toml")).output().unwrap()
    };
    let run = with_file(&["run", "--keep-going"]);
    expect(&run, 1, &["out of memory: it may have 32 MiB", "1 failed"]);
    expect(&with_file(&["run", "own"]), 0, &["1 cached"]);
    let run = with_file(&["run", "--limit", "memory=24MiB", "greedy"]);
    expect(&run, 1, &["out of memory: it may have 24 MiB"]);
    expect(&with_file(&["doctor"]), 0, &["limits", "by default memory 32.0 MiB, disk 1.0 GiB"]);
    checkout.write("config.toml", "[limits]\nmemory = \"0\"\n");
    expect(&with_file(&["run"]), 2, &["config.toml:1:", "memory: nothing can run with 0"]);
    expect(&user.cullet(&checkout, ["run", "--limit", "disk"]), 2, &["KIND=AMOUNT"]);
}
