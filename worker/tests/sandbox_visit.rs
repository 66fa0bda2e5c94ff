//! Somebody looks into a step, at a terminal.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cullet_worker::plain::PlainExecutor;
use cullet_worker::{Exit, StepExecutor, TerminalHost, Visit};
use support::{Step, processes_with, run_in, sandbox, step};

/// Types, and reads what is shown until the visit is over.
#[derive(Debug)]
struct Typist {
    types: &'static str,
    shown: Arc<Mutex<String>>,
}

impl TerminalHost for Typist {
    fn attach(&self, master: OwnedFd) {
        let (types, shown) = (self.types, Arc::clone(&self.shown));
        std::thread::spawn(move || {
            let mut master = File::from(master);
            master.write_all(types.as_bytes()).unwrap();
            let mut buffer = [0; 4096];
            // Reading fails when nobody has the other side any more.
            while let Ok(count) = master.read(&mut buffer) {
                shown.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
            shown.lock().unwrap().push_str("[over]");
        });
    }
}

/// The step with a visitor in a shell, who types that.
fn visited(mut step: Step, after_failure: bool, types: &'static str) -> (Step, Arc<Mutex<String>>) {
    let shown = Arc::new(Mutex::new(String::new()));
    step.launch.visit = Some(Visit {
        arguments: vec!["sh".to_owned()],
        env: vec![("TERM".to_owned(), "dumb".to_owned())],
        after_failure,
        host: Arc::new(Typist { types, shown: Arc::clone(&shown) }),
    });
    (step, shown)
}

/// All that was shown, once the visit is over.
fn all(shown: &Mutex<String>) -> String {
    support::eventually("the terminal is closed", || shown.lock().unwrap().ends_with("[over]"));
    shown.lock().unwrap().clone()
}

both_users! {
    fn a_visitor_takes_the_place_of_the_program() {
        let sandbox = sandbox();
        let typed = "tty; pwd; cat in; echo $A-$TERM; id -un; echo to-tty > /dev/tty; exit 5\n";
        let step = step("echo never").env("A", "1").input(sandbox.owner(), "in", "inputs");
        let (step, shown) = visited(step, false, typed);
        let outcome = run_in(&sandbox, &step);
        let shown = all(&shown);
        assert_eq!((outcome.exit(), outcome.stdout.as_str()), (Exit::Code(5), ""));
        for wanted in ["/dev/pts/0", "/workspace", "inputs", "1-dumb", "cullet", "\nto-tty"] {
            assert!(shown.contains(wanted), "{wanted}: {shown}");
        }
    }

    fn after_a_failure_everything_is_as_the_step_left_it() {
        let script = "echo printed; echo x > made; echo y > /tmp/other; exit 3";
        let (step, shown) = visited(step(script), true, "cat made /tmp/other; echo z > added; exit 0\n");
        let outcome = run_in(&sandbox(), &step);
        assert_eq!((outcome.exit(), outcome.stdout.as_str()), (Exit::Code(3), "printed\n"));
        let shown = all(&shown);
        assert!(shown.contains("x\r\ny\r\n"), "{shown}");
        assert!(outcome.upper().join("added").exists());
    }

    fn nobody_looks_into_what_succeeds() {
        let (step, shown) = visited(step("true"), true, "exit\n");
        assert_eq!(run_in(&sandbox(), &step).exit(), Exit::Code(0));
        assert_eq!(*shown.lock().unwrap(), "");
    }

    fn a_visit_takes_the_time_that_it_takes() {
        let (step, shown) = visited(step("true"), false, "sleep 1.2; echo slept; exit\n");
        let outcome = run_in(&sandbox(), &step.timeout(Duration::from_millis(800)));
        assert_eq!(outcome.exit(), Exit::Code(0));
        assert!(all(&shown).contains("slept"));
    }

    fn a_cancelled_visit_leaves_nothing() {
        let marker = format!("31{:06}", std::process::id());
        let typed = String::leak(format!("trap '' TERM HUP; sleep {marker} & sleep {marker}\n"));
        let (step, shown) = visited(step("exit 1"), true, typed);
        let (cancel, searched) = (step.cancel.clone(), format!("sleep {marker}"));
        let cancelling = std::thread::spawn(move || {
            support::eventually("both sleep", || processes_with(&searched).len() >= 2);
            cancel.cancel();
        });
        let outcome = run_in(&sandbox(), &step);
        cancelling.join().unwrap();
        assert_eq!(outcome.exit(), Exit::Cancelled);
        assert_eq!(processes_with(&format!("sleep {marker}")), [""; 0]);
        all(&shown);
    }
}

/// Dropping the terminal, as a host does that has no time, ends the visit.
#[test]
fn a_visit_that_nobody_wants_ends_at_once() {
    #[derive(Debug)]
    struct Busy;
    impl TerminalHost for Busy {
        fn attach(&self, _: OwnedFd) {}
    }
    let marker = format!("32{:06}", std::process::id());
    // One that does not read, and does not hear of it.
    let deaf = format!("trap '' HUP; sleep {marker} & sleep {marker}; exit 0");
    let plain =
        PlainExecutor::start(support::launcher(), support::config().view.tools, Duration::from_millis(300));
    for executor in [&sandbox() as &dyn StepExecutor, &plain.unwrap()] {
        for (arguments, after_failure) in
            [(&["sh"][..], true), (&["sh", "-c", &deaf], true), (&["sh", "-c", &deaf], false)]
        {
            let mut step = step("exit 4");
            let arguments = arguments.iter().copied().map(str::to_owned).collect();
            step.launch.visit =
                Some(Visit { arguments, env: Vec::new(), after_failure, host: Arc::new(Busy) });
            let exit = run_in(executor, &step).exit();
            // Whoever is not deaf yet dies of the signal.
            let is_right = match exit {
                Exit::Code(4) => after_failure,
                Exit::Signal(libc::SIGKILL | libc::SIGHUP) => !after_failure,
                _ => false,
            };
            assert!(is_right, "{}: {exit:?}", executor.name());
            assert_eq!(processes_with(&format!("sleep {marker}")), [""; 0], "{}", executor.name());
        }
    }
}
