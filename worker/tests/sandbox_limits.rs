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

    fn a_launcher_that_does_not_answer_is_replaced() {
        let sandbox = sandbox();
        let launcher = nix::unistd::Pid::from_raw(sandbox.launcher_pid().cast_signed());
        nix::sys::signal::kill(launcher, nix::sys::signal::Signal::SIGSTOP).unwrap();
        let clock = Instant::now();
        let error = runtime().block_on(command(&["true"]).run_on(&sandbox)).unwrap_err();
        assert!(error.to_string().contains("start it"), "{error}");
        assert!((8..30).contains(&clock.elapsed().as_secs()), "{:?}", clock.elapsed());
        assert_eq!(run_in(&sandbox, &command(&["true"])).exit(), Exit::Code(0));
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

/// A 32-bit program for x86 that exits with 0, as a shell's `printf` writes it.
#[cfg(target_arch = "x86_64")]
fn program_for_x86() -> String {
    const BASE: u32 = 0x0804_8000;
    const CODE: [u8; 9] = [0x31, 0xdb, 0x31, 0xc0, 0x40, 0xcd, 0x80, 0xeb, 0xfe];
    let halves = |values: &[u16]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let words = |values: &[u32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let mut bytes = b"\x7fELF\x01\x01\x01".to_vec();
    bytes.resize(16, 0);
    bytes.extend(halves(&[2, 3]));
    bytes.extend(words(&[1, BASE + 84, 52, 0, 0]));
    bytes.extend(halves(&[52, 32, 1, 0, 0, 0]));
    bytes.extend(words(&[1, 0, BASE, BASE, 84 + 9, 84 + 9, 5, 0x1000]));
    bytes.extend(CODE);
    bytes.iter().map(|byte| format!("\\{byte:03o}")).collect()
}

#[cfg(target_arch = "x86_64")]
both_users! {
    fn programs_for_32_bits_end_with_sigsys() {
        let script = format!("printf '{}' > /tmp/p; chmod +x /tmp/p; exec /tmp/p", program_for_x86());
        let exit = support::run(&step(&script)).exit();
        // 126: this kernel knows no 32-bit programs at all.
        assert!(matches!(exit, Exit::Signal(31) | Exit::Code(126)), "{exit:?}");
    }

    fn the_numbers_of_x32_walk_around_nothing() {
        let script = "import ctypes\n\
                      libc = ctypes.CDLL(None, use_errno=True)\n\
                      for call in (250, 321, 425, 165, 528):\n\
                      \x20 print(libc.syscall(0x40000000 | call, 0, 0, 0, 0, 0), ctypes.get_errno())";
        let outcome = support::run(&command(&["/usr/bin/python3", "-c", script]));
        assert_eq!(outcome.ok(), ["-1 1"; 5].join("\n"));
    }
}
