//! The plain executor: no isolation, but the same contract.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use cullet_worker::plain::PlainExecutor;
use cullet_worker::{Exit, StepLimits};
use support::{command, eventually, processes_with, run_in, step};

fn plain() -> PlainExecutor {
    PlainExecutor::start(support::launcher(), support::config().view.tools, Duration::from_millis(300))
        .unwrap()
}

#[test]
fn says_which_limits_it_does_not_keep() {
    let limits = |processes, disk_bytes| StepLimits { processes, disk_bytes, ..StepLimits::default() };
    assert_eq!(plain().missing(&limits(20, 1 << 20)), ["processes"]);
    assert_eq!(plain().missing(&limits(0, 1 << 20)), [""; 0]);
}

both_users! {
    fn runs_in_a_copy_of_the_inputs() {
        let step = step("cat file; echo more >> file; mkdir out; echo x > out/x; pwd").input(None, "file", "contents\n").input(None, "dir/inner", "i");
        let outcome = run_in(&plain(), &step);
        let workspace = step.launch.scratch.join("workspace");
        assert_eq!(outcome.ok(), format!("contents\n{}", workspace.display()));
        assert_eq!(outcome.execution.workspace, std::slice::from_ref(&workspace));
        assert_eq!(std::fs::read_to_string(step.launch.inputs.join("file")).unwrap(), "contents\n");
        assert_eq!(std::fs::metadata(workspace.join("dir/inner")).unwrap().nlink(), 1);
        assert_eq!(std::fs::read_to_string(workspace.join("out/x")).unwrap(), "x\n");
    }

    fn has_only_the_declared_environment_and_no_descriptors() {
        let outcome = run_in(&plain(), &command(&["/usr/bin/env"]).env("A", "1"));
        assert!(outcome.ok().lines().all(|line| ["A=", "PATH=", "HOME=", "RUSTUP_HOME=", "PYENV_ROOT="].iter().any(|name| line.starts_with(name))), "{outcome:?}");
        assert_eq!(run_in(&plain(), &step("cat; ls /proc/self/fd | tr '\\n' ' '")).ok(), "0 1 2 3");
    }

    fn ends_with_codes_signals_and_the_shells_answers() {
        let plain = plain();
        assert_eq!(run_in(&plain, &step("exit 3")).exit(), Exit::Code(3));
        assert_eq!(run_in(&plain, &step("kill -9 $$")).exit(), Exit::Signal(9));
        assert_eq!(run_in(&plain, &command(&["no-such-program"])).exit(), Exit::Code(127));
    }

    fn leaves_no_orphan() {
        let marker = format!("5{:07}.1", std::process::id());
        let script = format!("(setsid sleep {marker} &); sleep {marker} & (setsid sh -c 'sleep {marker} & sleep {marker}' &) ; echo done");
        assert_eq!(run_in(&plain(), &step(&script)).ok(), "done");
        assert_eq!(processes_with(&marker), [""; 0]);
    }

    fn stops_at_the_timeout_and_when_cancelled() {
        let marker = format!("5{:07}.2", std::process::id());
        let script = format!("trap '' TERM; (setsid sleep {marker} &); echo started; sleep {marker}; sleep {marker}");
        let late = run_in(&plain(), &step(&script).timeout(Duration::from_millis(300)));
        assert_eq!(late.exit(), Exit::TimedOut);
        let step = step(&script);
        let (cancel, log) = (step.cancel.clone(), step.log.clone());
        let cancelled = std::thread::scope(|scope| {
            scope.spawn(|| {
                eventually("the step starts", || log.stdout().contains("started"));
                cancel.cancel();
            });
            run_in(&plain(), &step)
        });
        assert_eq!(cancelled.exit(), Exit::Cancelled);
        assert_eq!(processes_with(&marker), [""; 0]);
    }
}
