//! Nothing of a step outlives it, however it ends.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::time::{Duration, Instant};

use cullet_worker::Exit;
use support::{eventually, processes_with, run, run_in, runtime, sandbox, step};

/// A number of seconds to sleep that no other process sleeps, so that the sleepers can be found.
fn marker() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("7{:07}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

both_users! {
    fn daemons_end_with_the_step_even_while_they_hold_the_pipes() {
        let marker = marker();
        let script = format!(
            "sleep {marker} & (setsid sleep {marker} &) ; (setsid sh -c '(sleep {marker} &) ; sleep {marker}' &) ; \
             nohup sleep {marker} >/dev/null 2>&1 & trap '' TERM HUP; echo done"
        );
        let clock = Instant::now();
        assert_eq!(run(&step(&script)).ok(), "done");
        assert!(clock.elapsed() < Duration::from_secs(20));
        assert_eq!(processes_with(&marker), [""; 0]);
    }

    fn a_timeout_lets_the_step_finish_its_words() {
        let script = "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
        let outcome = run(&step(script).timeout(Duration::from_millis(500)));
        assert_eq!(outcome.exit(), Exit::TimedOut);
        assert_eq!(outcome.stdout, "ready\nasked\n");
    }

    fn a_step_that_ignores_sigterm_is_killed_after_the_grace() {
        let marker = marker();
        let script = format!("trap '' TERM; sleep {marker} & sleep {marker}; sleep {marker}");
        let clock = Instant::now();
        let outcome = run(&step(&script).timeout(Duration::from_millis(200)));
        assert_eq!(outcome.exit(), Exit::TimedOut);
        assert!(clock.elapsed() > Duration::from_millis(500) && clock.elapsed() < Duration::from_secs(20));
        assert_eq!(processes_with(&marker), [""; 0]);
    }

    fn a_cancelled_step_ends() {
        let marker = marker();
        let step = step(&format!("echo started; sleep {marker}"));
        let (sandbox, cancel, log) = (sandbox(), step.cancel.clone(), step.log.clone());
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                eventually("the step starts", || log.stdout().contains("started"));
                cancel.cancel();
            });
            run_in(&sandbox, &step)
        });
        assert_eq!(outcome.exit(), Exit::Cancelled);
        assert_eq!(processes_with(&marker), [""; 0]);
    }

    fn a_step_that_nobody_waits_for_ends() {
        let marker = marker();
        let step = step(&format!("echo started; sleep {marker}"));
        let (sandbox, log) = (sandbox(), step.log.clone());
        runtime().block_on(async {
            tokio::select! {
                _ = step.run_on(&sandbox) => panic!("the step ended by itself"),
                () = async {
                    while !log.stdout().contains("started") {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                } => {}
            }
            // The runtime's end would wait for the following thread; it has to end by the drop alone.
            while !processes_with(&marker).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }

    fn a_killed_launcher_takes_its_steps_along_and_is_replaced() {
        let marker = marker();
        let step = step(&format!("echo started; setsid sleep {marker}"));
        let (sandbox, log) = (sandbox(), step.log.clone());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                eventually("the step starts", || log.stdout().contains("started"));
                let launcher = nix::unistd::Pid::from_raw(sandbox.launcher_pid().cast_signed());
                nix::sys::signal::kill(launcher, nix::sys::signal::Signal::SIGKILL).unwrap();
            });
            let error = runtime().block_on(step.run_on(&sandbox)).unwrap_err();
            assert!(error.to_string().contains("learn how the step ended"), "{error}");
        });
        eventually("all end", || processes_with(&marker).is_empty());
        assert_eq!(run_in(&sandbox, &support::step("echo again")).ok(), "again");
    }

    fn ten_thousand_forks_are_gone_afterwards() {
        let marker = marker();
        let script = format!(
            "import os, time\n\
             n = 0\n\
             for i in range(10000):\n\
             \x20 try:\n    pid = os.fork()\n\
             \x20 except OSError: break\n\
             \x20 if pid == 0:\n    os.setsid(); time.sleep({marker})\n\
             \x20 n += 1\n\
             print(n)"
        );
        let mut python = step("");
        python.launch.arguments = vec!["/usr/bin/python3".into(), "-c".into(), script];
        let outcome = run(&python);
        let forked: u32 = outcome.ok().parse().unwrap();
        assert!((100..4096).contains(&forked), "{forked}");
        assert_eq!(processes_with(&marker), [""; 0]);
    }

    fn duration_and_start_are_those_of_the_program() {
        let before = std::time::SystemTime::now();
        let execution = run(&step("sleep 0.3")).execution;
        assert!(execution.started_at >= before);
        assert!(execution.duration >= Duration::from_millis(300) && execution.duration < Duration::from_secs(10));
    }
}
