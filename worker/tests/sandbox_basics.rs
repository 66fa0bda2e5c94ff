//! A step runs, prints, writes and ends as a program does.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use cullet_worker::{Exit, StepExecutor};
use support::{command, run, run_in, runtime, sandbox, step};

both_users! {
    fn runs_as_cullet_in_the_workspace() {
        let outcome = run(&step("id -un; id -u; id -gn; pwd; hostname; umask; cat; echo err >&2"));
        assert_eq!(outcome.ok(), "cullet\n1000\ncullet\n/workspace\ncullet\n0022");
        assert_eq!(outcome.stderr, "err\n");
    }

    fn has_the_declared_environment_and_that_of_the_image() {
        let outcome = run(&command(&["/usr/bin/env"]).env("A", "1").env("HOME", "/nowhere"));
        let mut names: Vec<&str> = outcome.ok().lines().collect();
        names.retain(|line| !line.starts_with("PATH=") && !line.starts_with("RUSTUP_HOME=") && !line.starts_with("PYENV_ROOT="));
        assert_eq!(names, ["A=1", "HOME=/nowhere"]);
        assert!(outcome.stdout.contains("/usr/bin"));
    }

    fn tells_exit_codes_and_signals() {
        let sandbox = sandbox();
        assert_eq!(run_in(&sandbox, &step("exit 7")).exit(), Exit::Code(7));
        assert_eq!(run_in(&sandbox, &step("kill -9 $$")).exit(), Exit::Signal(9));
        assert_eq!(run_in(&sandbox, &step("kill -TERM $$")).exit(), Exit::Signal(15));
    }

    fn answers_for_missing_programs_as_a_shell() {
        let sandbox = sandbox();
        for (program, code) in [("no-such-program", 127), ("/no/such", 127), ("/etc/passwd", 126), ("/etc", 126), ("", 127)] {
            let outcome = run_in(&sandbox, &command(&[program]));
            assert_eq!(outcome.exit(), Exit::Code(code), "{program}: {outcome:?}");
            assert!(outcome.stderr.contains(program) && outcome.stderr.contains("cannot run"), "{outcome:?}");
        }
    }

    fn starts_in_the_working_directory() {
        let sandbox = sandbox();
        let mut inside = step("pwd; ls").input(sandbox.owner(), "sub/file", "x");
        inside.launch.working_directory = "sub".to_owned();
        assert_eq!(run_in(&sandbox, &inside).ok(), "/workspace/sub\nfile");
        inside = step("pwd");
        inside.launch.working_directory = "missing".to_owned();
        let outcome = run_in(&sandbox, &inside);
        assert_eq!(outcome.exit(), Exit::Code(126));
        assert!(outcome.stderr.contains("/workspace/missing"), "{outcome:?}");
    }

    fn starts_with_default_signals_and_no_terminal() {
        let script = "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; [ -e /proc/self/fd/3 ] && echo fd; \
                      readlink /proc/self/fd/0; [ -t 1 ] && echo tty; cat /dev/tty 2>/dev/null && echo ctty; true";
        let outcome = run(&command(&["bash", "-c", script]));
        let zero = "0000000000000000";
        let text = outcome.ok().replace('\t', "");
        assert!(text.contains(&format!("SigBlk:{zero}")) && text.contains(&format!("SigIgn:{zero}")), "{text}");
        assert!(text.ends_with("/dev/null"), "{text}");
    }

    fn can_open_its_outputs_by_name() {
        let outcome = run(&step("echo a > /dev/stdout; echo b > /dev/stderr; echo c | tee /dev/fd/2"));
        assert_eq!((outcome.ok(), outcome.stderr.as_str()), ("a\nc", "b\nc\n"));
    }

    fn carries_a_flood_without_a_newline() {
        let outcome = run(&step("head -c 20000000 /dev/zero; head -c 1000000 /dev/zero >&2"));
        assert_eq!((outcome.exit(), outcome.stdout.len(), outcome.stderr.len()), (Exit::Code(0), 20_000_000, 1_000_000));
    }

    fn runs_twenty_at_once() {
        let sandbox = sandbox();
        let steps: Vec<_> = (0..20).map(|index| step(&format!("echo {index} > own; cat own; sleep 0.2"))).collect();
        runtime().block_on(async {
            let all = steps.iter().map(|step| step.run_on(&sandbox));
            let outcomes = join_all(all.collect()).await;
            for (index, outcome) in outcomes.iter().enumerate() {
                assert_eq!(outcome.ok(), index.to_string());
            }
        });
    }

    fn passes_large_arguments_and_reports_too_large_ones() {
        let sandbox = sandbox();
        let long = "x".repeat(100_000);
        let outcome = run_in(&sandbox, &command(&["sh", "-c", "echo ${#1}", "sh", &long]));
        assert_eq!(outcome.ok(), "100000");
        let too_long = "x".repeat(1 << 20);
        let outcome = run_in(&sandbox, &command(&["true", &too_long]));
        assert_eq!(outcome.exit(), Exit::Code(126));
        assert_eq!(sandbox.name(), "sandbox");
    }
}

/// Polls all futures to their end, at the same time.
async fn join_all<T>(futures: Vec<impl Future<Output = Result<T, cullet_worker::ExecuteError>>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, done) in &mut pending {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(result) => *done = Some(result.unwrap()),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    pending.into_iter().filter_map(|(_, done)| done).collect()
}
