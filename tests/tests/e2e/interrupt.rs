//! Somebody presses Ctrl-C.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use cullet_tests::{Checkout, Outcome, User, within};

#[test]
fn ctrl_c_cancels_and_leaves_nothing_behind() {
    let marker = format!("32{:06}", std::process::id());
    cancelled_by(&["-INT"], &marker);
}

/// Closing a terminal may send it twice, which must not count as a second Ctrl-C.
#[test]
fn a_terminal_that_goes_away_cancels() {
    let marker = format!("33{:06}", std::process::id());
    let outcome = cancelled_by(&["-HUP", "-HUP"], &marker);
    let said = |event: &serde_json::Value| event["text"].as_str().is_some_and(|text| text.contains("SIGHUP"));
    assert_eq!(outcome.events.iter().filter(|event| said(event)).count(), 1);
}

#[test]
fn who_stops_a_comparison_hears_nothing_of_what_had_no_turn() {
    let marker = format!("36{:06}", std::process::id());
    let text = format!(
        "cullet: 1\nname: slow\nsteps:\n  slow: {{ run: 'sleep {marker}' }}\n  after: {{ needs: [slow], run: 'true' }}\n"
    );
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text));
    let child = start(&user.command(checkout.path(), ["verify", "--format", "json"]));
    wait_until(|| sleeping(&marker));
    Command::new("kill").args(["-INT", &*child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["same"], false, "{said}");
    let stopped = "it was not executed twice: the run was stopped before that";
    let step = |name: &str| serde_json::json!({ "step": name, "same": false, "ended": stopped });
    assert_eq!(said["steps"], serde_json::json!([step("after"), step("slow")]), "{said}");
}

fn cancelled_by(signals: &[&str], marker: &str) -> Outcome {
    let text = format!(
        "cullet: 1\nname: slow\nsteps:\n  quick: {{ run: 'true' }}\n  \
         slow: {{ needs: [quick], run: 'sleep {marker}' }}\n  after: {{ needs: [slow], run: 'true' }}\n"
    );
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text));
    let child = start(&user.command(checkout.path(), ["run", "--progress", "json"]));
    wait_until(|| sleeping(marker));
    for signal in signals {
        // The second finds the process gone where the first was quick.
        let _ = Command::new("kill").args([signal, &*child.id().to_string()]).stderr(Stdio::null()).status();
    }
    let outcome = Outcome::of(&child.wait_with_output().unwrap());
    assert_eq!(outcome.exit_code, 130, "{}", outcome.stderr);
    assert_eq!(outcome.steps["quick"].status, "succeeded");
    assert_eq!(outcome.steps["slow"].status, "cancelled");
    assert!(!sleeping(marker));
    let last = outcome.events.last().unwrap();
    assert_eq!((last["event"].as_str(), last["status"].as_str()), (Some("run_finished"), Some("cancelled")));
    outcome
}

/// Starts it where signals end it: whoever runs the tests may have these ignored (`nohup`, a shell's background), and Cullet
/// respects that.
fn start(command: &Command) -> Child {
    let mut command = within("env", ["--default-signal=HUP,INT"], command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Whether somebody sleeps for so long.
pub(crate) fn sleeping(marker: &str) -> bool {
    let processes = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let command = format!("sleep {marker}");
    String::from_utf8_lossy(&processes.stdout).lines().any(|line| line == command)
}

/// Far more than a process takes to start, even on a machine that is too busy.
#[track_caller]
pub(crate) fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        sleep(Duration::from_millis(20));
    }
}
