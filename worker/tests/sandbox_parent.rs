//! Cullet itself is killed: nothing it started goes on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use cullet_worker::StepExecutor;
use cullet_worker::plain::PlainExecutor;
use support::{eventually, processes_with, step};

/// Names the sleeper in the process that is going to be killed, and the executor it uses.
const ROLE: &str = "CULLET_TEST_PARENT";

/// Not a test by itself: the process that the tests below start and kill.
#[test]
fn parent() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (executor, marker) = role.split_once(' ').unwrap();
    let executor: Box<dyn StepExecutor> = match executor {
        "sandbox" => Box::new(support::sandbox()),
        _ => Box::new(plain()),
    };
    let step = step(&format!(
        "(setsid sleep {marker} &); trap '' TERM HUP; echo started; sleep {marker}; sleep {marker}"
    ));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the step starts", || step.log.stdout().contains("started"));
            println!("\nstarted {}", step.dir.path().display());
        });
        let _ = support::run_in(executor.as_ref(), &step);
    });
}

fn plain() -> PlainExecutor {
    PlainExecutor::start(support::launcher(), support::config().view.tools, Duration::from_millis(300))
        .unwrap()
}

fn kill_parent_with(executor: &str, signal: nix::sys::signal::Signal) {
    let marker = format!("6{:07}.{}", std::process::id(), signal as i32);
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["parent", "--exact", "--nocapture"])
        .env(ROLE, format!("{executor} {marker}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let line =
        lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("started "))).unwrap().unwrap();
    assert!(!processes_with(&marker).is_empty());
    let pid = nix::unistd::Pid::from_raw(parent.id().cast_signed());
    nix::sys::signal::kill(pid, signal).unwrap();
    parent.wait().unwrap();
    eventually("every process of the step ends", || processes_with(&marker).is_empty());
    // Nobody was left to give the overlay's own directories permissions again.
    Command::new("chmod").args(["-R", "u+rwX", line.trim_start_matches("started ")]).output().unwrap();
    std::fs::remove_dir_all(line.trim_start_matches("started ")).unwrap();
}

both_users! {
    fn a_killed_cullet_leaves_no_sandboxed_process() {
        kill_parent_with("sandbox", nix::sys::signal::Signal::SIGKILL);
    }

    fn a_killed_cullet_leaves_no_plain_process() {
        kill_parent_with("plain", nix::sys::signal::Signal::SIGKILL);
    }
}
