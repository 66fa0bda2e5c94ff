use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::{cullet, run, stderr, stdout};

const SLEEPY: &str = "cullet: 1\nname: app\nsteps:\n  nap:\n    run: \"echo begun; sleep 60\"\n";
const QUICK: &str = "cullet: 1\nname: app\nsteps:\n  a:\n    run: \"echo hello\"\n  b:\n    needs: [a]\n    run: \"echo no >&2; exit 3\"\n";

fn start(home: &Path, pipeline: &str) -> Child {
    std::fs::write(home.join("cullet.yaml"), pipeline).unwrap();
    let mut command = cullet(home, &["run", "--executor", "plain", "--progress", "json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the step runs, as another process sees it.
fn wait_for_step(home: &Path) {
    let begin = Instant::now();
    while !stdout(&run(home, &["status", "--format", "json"])).contains("step_started") {
        assert!(begin.elapsed() < Duration::from_secs(60), "the step never starts");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn last_run(home: &Path) -> serde_json::Value {
    let text = stdout(&run(home, &["runs", "--format", "json", "-n", "1"]));
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_run_is_cancelled_from_another_process() {
    let home = tempfile::tempdir().unwrap();
    let child = start(home.path(), SLEEPY);
    wait_for_step(home.path());
    let name = last_run(home.path())["run"].as_str().unwrap().to_owned();
    assert_eq!(last_run(home.path())["status"], "running");
    let output = run(home.path(), &["cancel", &name[..14]]);
    assert!(output.status.success(), "{}", stderr(&output));
    let begin = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_eq!(last_run(home.path())["status"], "cancelled");
    let last = stdout(&output);
    let last: serde_json::Value = serde_json::from_str(last.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["status"]), (&"run_finished".into(), &"cancelled".into()));
}

#[test]
fn a_run_that_was_killed_is_interrupted() {
    let home = tempfile::tempdir().unwrap();
    let mut child = start(home.path(), SLEEPY);
    wait_for_step(home.path());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(last_run(home.path())["status"], "interrupted");
    let output = run(home.path(), &["status"]);
    assert!(stdout(&output).contains("did not finish"), "{}", stdout(&output));
}

#[test]
fn json_is_all_there_is_on_standard_output_and_the_log_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let output = start(home.path(), QUICK).wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), ""));
    let text = stdout(&output);
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!((names[0], names[names.len() - 1]), ("run_started", "run_finished"));
    assert!(events.iter().all(|event| event["time"].is_string() && event.get("result").is_none()));
    let logs = run(home.path(), &["logs"]);
    assert_eq!(stdout(&logs), "no\n");
    assert!(stderr(&logs).starts_with("b of run "), "{}", stderr(&logs));
    assert_eq!(stdout(&run(home.path(), &["logs", "a"])), "hello\n");
}

#[test]
fn a_run_goes_on_when_nobody_reads_any_more() {
    let home = tempfile::tempdir().unwrap();
    let pipeline = QUICK.replace("exit 3", "exit 0");
    let mut child = start(home.path(), &pipeline);
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert_eq!(last_run(home.path())["executed"], 2);
}
