//! Steps and sources that misbehave: each is named, with what to do, and harms nothing else.

use std::process::Command;

use cullet_tests::{Checkout, Outcome, User};

fn run(steps: &str) -> Outcome {
    let text = format!("cullet: 1\nname: bad\nsteps:\n{steps}  good: {{ run: 'true' }}\n");
    let outcome = User::new().run_with(&Checkout::of_pipeline(&text), ["--keep-going"]);
    assert_eq!(outcome.exit_code, 1, "{}", outcome.stderr);
    assert_eq!(outcome.steps["good"].status, "succeeded");
    outcome
}

fn reason<'a>(outcome: &'a Outcome, step: &str) -> &'a str {
    assert_eq!(outcome.steps[step].status, "failed", "{step}");
    outcome.steps[step].reason.as_deref().unwrap_or_default()
}

#[test]
fn outputs_that_are_missing_or_leave_the_workspace() {
    let outcome = run(concat!(
        "  missing: { run: 'true', outputs: { x: nowhere } }\n",
        "  escape: { run: 'ln -s /etc/passwd link', outputs: { x: link } }\n",
        "  inside: { run: 'mkdir d && ln -s ../.. d/up', outputs: { x: d } }\n",
    ));
    assert!(reason(&outcome, "missing").contains("'nowhere' is missing"));
    assert!(reason(&outcome, "escape").contains("outside the workspace"));
    assert!(reason(&outcome, "inside").contains("outside the workspace"));
}

#[test]
fn a_program_that_does_not_exist_or_is_killed() {
    let outcome = run("  absent: { run: [no-such-program] }\n  killed: { run: 'kill -9 $$' }\n");
    assert_eq!(outcome.steps["absent"].status, "failed");
    let code = |step: &str| {
        let finished =
            |event: &&serde_json::Value| event["event"] == "step_finished" && event["step"] == step;
        outcome.events.iter().find(finished).and_then(|event| event["exit_code"].as_i64())
    };
    assert_eq!((code("absent"), code("killed")), (Some(127), Some(137)));
}

#[test]
fn a_source_with_odd_files() {
    let text = "cullet: 1\nname: odd\nsources: { src: src }\nsteps:\n  \
                list: { inputs: { src: src }, run: 'ls -Ab src | tr \"\\n\" \" \"' }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(text));
    checkout.write("src/plain", "");
    let shell = |script: &str| {
        let status =
            Command::new("sh").args(["-c", script]).current_dir(checkout.path().join("src")).status();
        assert!(status.unwrap().success());
    };
    let refused = |why: &str| {
        let run = user.run(&checkout);
        assert_ne!(run.exit_code, 0);
        assert!(run.stderr.contains(why), "{}", run.stderr);
    };
    shell("ln -s loop loop; printf x > \"$(printf 'new\\nline')\"; printf x > \"$(printf 'latin-\\344')\"");
    refused("latin-\\xe4: the name is not UTF-8");
    shell("rm latin-*; mkfifo pipe");
    refused("pipe: a FIFO cannot be the input of a step");
    shell("rm pipe");
    user.run(&checkout).assert_success();
    let logs = user.cullet(&checkout, ["logs", "list"]);
    assert_eq!(String::from_utf8_lossy(&logs.stdout), "loop new\\nline plain ");
}

#[test]
fn a_cycle_of_ten_thousand_steps() {
    let mut text = String::from("cullet: 1\nname: cycle\nsteps:\n");
    for step in 0..10_000 {
        text += &format!("  s{step}: {{ run: 'true', needs: [s{}] }}\n", (step + 1) % 10_000);
    }
    let output = User::new().cullet(&Checkout::of_pipeline(&text), ["validate"]);
    let shown =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2));
    assert!(shown.contains("circle") && shown.len() < 10_000, "{} bytes: {:.500}", shown.len(), shown);
}

#[test]
fn a_gigabyte_of_output_is_not_kept_in_memory() {
    let text =
        "cullet: 1\nname: loud\nsteps:\n  loud: { run: \"head -c 1000000000 /dev/zero | tr '\\\\0' x\" }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(text));
    let arguments = ["run", "--progress", "plain"];
    let mut limited = Command::new("sh");
    // Address space, not memory, but a log in memory would not fit either.
    limited.args(["-c", "ulimit -v 2000000 && exec \"$0\" \"$@\""]).arg(cullet_tests::cullet_binary());
    limited.args(arguments).current_dir(checkout.path()).env("CULLET_CACHE_DIR", user.cache());
    let output = limited.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.len() + output.stderr.len() < 100_000);
}
