//! Limits of the machine, and limits that a step sets, end nothing but steps.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cullet_worker::Exit;
use support::{command, run_in, runtime, sandbox, step};
use tokio::task::JoinSet;

/// Runs `body` in a process of its own with these soft and hard limits of open files.
fn with_open_files(test: &str, soft: u32, hard: u32, body: fn()) {
    const MARK: &str = "CULLET_TEST_OPEN_FILES";
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
    let mut limited = Command::new("sh");
    limited.args(["-c", &script]).arg(std::env::current_exe().unwrap());
    let output = limited.args([test, "--exact", "--nocapture"]).env(MARK, "1").output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn run_two_hundred() {
    let sandbox = Arc::new(sandbox());
    runtime().block_on(async {
        let mut running = JoinSet::new();
        for index in 0..200 {
            let (sandbox, step) = (Arc::clone(&sandbox), command(&["echo", &index.to_string()]));
            running.spawn(async move { (index, step.run_on(&*sandbox).await) });
        }
        while let Some(ended) = running.join_next().await {
            let (index, outcome) = ended.unwrap();
            assert_eq!(outcome.unwrap().ok(), index.to_string());
        }
    });
}

both_users! {
    fn a_wide_run_needs_few_open_files() {
        with_open_files("a_wide_run_needs_few_open_files", 256, 256, run_two_hundred);
    }

    fn a_low_soft_limit_is_raised() {
        with_open_files("a_low_soft_limit_is_raised", 64, 4096, run_two_hundred);
    }

    fn a_step_that_cripples_its_first_process_ends() {
        let sandbox = sandbox();
        let clock = Instant::now();
        let step = step("prlimit --pid 1 --nofile=0:0 && echo done; (sleep 0.1 &); sleep 30").timeout(Duration::from_secs(60));
        let error = runtime().block_on(step.run_on(&sandbox)).unwrap_err();
        assert!(error.to_string().contains("learn how the step ended"), "{error}");
        assert!(step.log.stdout().contains("done") && clock.elapsed() < Duration::from_secs(20));
        assert_eq!(run_in(&sandbox, &command(&["true"])).exit(), Exit::Code(0));
    }
}
