//! Limits of the machine, and limits that a step sets, end nothing but steps.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use cullet_worker::{Exit, StepLimits};
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

    fn a_step_cannot_cripple_its_first_process() {
        let script = "prlimit --pid 1 --nofile=0:0 2>/dev/null && echo done; prlimit --pid $$ --nofile=9:9 && ulimit -n; (sleep 0.1 &); sleep 0.2";
        assert_eq!(run_in(&sandbox(), &step(script)).ok(), "9");
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

/// Limits of memory and processor time take a control group, which takes root here, or one of its own that the caller is
/// known to have; `tests/cgroup2.sh` has such ones.
#[track_caller]
fn limited(limits: StepLimits, script: &str) -> Option<support::Outcome> {
    let version = std::env::var("CULLET_TEST_CGROUPS").ok();
    if !nix::unistd::geteuid().is_root() && version.is_none() {
        return None;
    }
    let sandbox = sandbox();
    assert_eq!(sandbox.missing(&limits), [""; 0], "control groups can be made");
    if let Some(version) = version {
        let found = cullet_worker::cgroup::Cgroups::open().to_string();
        assert_eq!(found, format!("cgroup version {version}"));
    }
    let mut step = step(script);
    step.launch.limits = limits;
    Some(run_in(&sandbox, &step))
}

/// Names of control groups that this process made.
fn own_groups() -> Vec<String> {
    let prefix = format!("cullet.{}.", std::process::id());
    let found =
        Command::new("find").args(["/sys/fs/cgroup", "-name", &format!("{prefix}*")]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_step_that_takes_too_much_memory_is_ended_and_the_next_one_is_not() {
    const LIMIT: u64 = 64 << 20;
    let limits = StepLimits { memory_bytes: LIMIT, ..StepLimits::default() };
    // Without a line's end, tail keeps everything.
    let Some(ended) = limited(limits, "exec tail /dev/zero") else { return };
    assert_eq!(ended.execution.exit, Exit::Signal(9));
    assert!(ended.execution.out_of_memory > 0, "{ended:?}");
    let peak = ended.execution.usage.peak_memory_bytes;
    assert!((LIMIT / 2..=LIMIT).contains(&peak), "{peak}");
    // One of several processes: the others go on.
    let survived = limited(limits, "tail /dev/zero > /dev/null || echo went on").unwrap();
    assert_eq!((survived.execution.exit, survived.stdout.as_str()), (Exit::Code(0), "went on\n"));
    assert!(survived.execution.out_of_memory > 0);
    let modest = limited(limits, "head -c 8M /dev/zero | tail -c 8M > /dev/null").unwrap();
    assert_eq!((modest.execution.exit, modest.execution.out_of_memory), (Exit::Code(0), 0));
    // Of tests that run beside this one there may be some for a moment.
    support::eventually("no group is left", || own_groups().is_empty());
}

#[test]
fn a_step_gets_no_more_processor_time_than_it_may_have() {
    let limits = StepLimits { cpu_millis: 200, ..StepLimits::default() };
    let busy = "timeout 2 sh -c 'while :; do :; done'; true";
    let Some(ended) = limited(limits, busy) else { return };
    let used = ended.execution.usage.cpu_ms;
    // A fifth of two seconds, and what it took to begin and to end, which is more where processors are emulated.
    let most = if std::env::var_os("CULLET_TEST_CGROUPS").is_some() { 1500 } else { 900 };
    assert!((100..most).contains(&used), "{used} ms");
    let free = limited(StepLimits::default(), busy).unwrap();
    assert!(free.execution.usage.cpu_ms > used, "{} ms", free.execution.usage.cpu_ms);
}

both_users! {
    fn a_step_may_have_fewer_processes_than_others() {
        let mut step = step("for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait");
        step.launch.limits.processes = 6;
        let ended = run_in(&sandbox(), &step);
        assert!(ended.stderr.contains("fork"), "{ended:?}");
        let other = support::step("for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1 & done; wait");
        assert_eq!(run_in(&sandbox(), &other).stderr, "");
    }

    fn what_a_step_took_is_told() {
        let ended = run_in(&sandbox(), &step("i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; head -c 30M /dev/zero | tail -c 30M > /tmp/x"));
        let usage = ended.execution.usage;
        assert!(usage.cpu_ms > 20, "{usage:?}");
        assert!((20 << 20..1 << 30).contains(&usage.peak_memory_bytes), "{usage:?}");
    }
}

const DISK: u64 = 8 << 20;

fn on_disk(script: &str) -> support::Step {
    let mut step = step(script);
    step.launch.limits = StepLimits { disk_bytes: DISK, ..StepLimits::default() };
    step
}

both_users! {
    fn a_step_with_too_much_on_the_disk_is_ended() {
        let sandbox = sandbox();
        // Each file alone is small enough.
        let many = "for i in $(seq 100); do head -c 1048576 /dev/zero > f$i; done; sleep 60";
        let clock = Instant::now();
        let outcome = run_in(&sandbox, &on_disk(many));
        assert_eq!(outcome.exit(), Exit::Signal(libc::SIGKILL), "{outcome:?}");
        assert!(outcome.execution.out_of_disk > DISK && clock.elapsed().as_secs() < 30, "{outcome:?}");
        // One that ends before anybody looked.
        let outcome = run_in(&sandbox, &on_disk("for i in $(seq 12); do head -c 1048576 /dev/zero > f$i; done"));
        assert!(outcome.execution.out_of_disk > DISK, "{outcome:?}");
        let outcome = run_in(&sandbox, &on_disk("head -c 4194304 /dev/zero > f; head -c 16777216 /dev/zero > /tmp/x; rm f"));
        assert_eq!(outcome.execution.out_of_disk, 0, "{outcome:?}");
        let image = support::image::Image::new();
        let mut step = image.step("for i in $(seq 12); do head -c 1048576 /dev/zero > /f$i; done");
        step.launch.limits = StepLimits { disk_bytes: DISK, ..StepLimits::default() };
        let outcome = run_in(&sandbox, &step);
        assert!(outcome.execution.out_of_disk > DISK, "{outcome:?}");
    }

    fn one_file_cannot_grow_beyond_the_limit() {
        let outcome = run_in(&sandbox(), &on_disk("head -c 100000000 /dev/zero > f; echo $?; stat -c %s f"));
        assert_eq!(outcome.ok(), format!("{}\n{DISK}", 128 + libc::SIGXFSZ), "{outcome:?}");
        assert_eq!(outcome.execution.out_of_disk, 0);
    }
}

both_users! {
    fn one_file_of_a_service_or_in_memory_cannot_either() {
        let image = support::image::Image::new();
        let grow = "head -c 100000000 /dev/zero > $0; echo $?; stat -c %s $0; rm $0";
        let script = format!("sh -c '{grow}' /f; touch /tmp/up; exec sleep 100");
        let big = support::service::service("big", &image, &script);
        let big = support::service::ready(big, support::service::exec("[ -e /tmp/up ]"));
        let outcome = run_in(&sandbox(), &on_disk(&format!("sh -c '{grow}' /tmp/f")).beside([big]));
        let bounded = format!("{}\n{DISK}", 128 + libc::SIGXFSZ);
        assert_eq!(outcome.ok(), bounded, "{outcome:?}");
        let said = |line: &str| outcome.stderr.contains(&format!("big | {line}\n"));
        assert!(bounded.lines().all(said), "{outcome:?}");
        assert_eq!(outcome.execution.out_of_disk, 0, "{outcome:?}");
    }
}

/// Takes a filesystem with quotas of projects, as `tests/cgroup2.sh` has one.
#[test]
fn a_quota_of_the_filesystem_holds_a_step() {
    if std::env::var_os("CULLET_TEST_QUOTA").is_none() {
        return;
    }
    let sandbox = sandbox();
    let script = "set -e; mkdir d; for i in $(seq 100); do head -c 1048576 /dev/zero > d/f$i; done";
    let ended = run_in(&sandbox, &on_disk(script));
    assert!(ended.exit() != Exit::Code(0) && ended.stderr.contains("quota"), "{ended:?}");
    assert!((DISK / 2..=DISK).contains(&ended.execution.out_of_disk), "{ended:?}");
    // One that copes with it is not to blame.
    let copes = "for i in $(seq 100); do head -c 1048576 /dev/zero > f$i 2> /dev/null || break; done; rm f*; echo $i > left";
    let step = on_disk(copes);
    let coped = run_in(&sandbox, &step);
    assert_eq!((coped.exit(), coped.execution.out_of_disk), (Exit::Code(0), 0), "{coped:?}");
    let left: u64 = std::fs::read_to_string(coped.upper().join("left")).unwrap().trim().parse().unwrap();
    assert!((4..=8).contains(&left), "{left}");
    // What it leaves can be linked to wherever files are kept.
    let shown =
        Command::new("lsattr").args(["-pR", &step.launch.scratch.to_string_lossy()]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let kept = |line: &&str| line.contains(" /") && !line.trim_start().starts_with("0 ");
    assert_eq!(shown.lines().find(kept), None, "{shown}");
    let image = support::image::Image::new();
    let mut step = image.step("for i in $(seq 100); do head -c 1048576 /dev/zero > /f$i || exit 9; done");
    step.launch.limits = StepLimits { disk_bytes: DISK, ..StepLimits::default() };
    let ended = run_in(&sandbox, &step);
    assert!(ended.exit() == Exit::Code(9) && ended.execution.out_of_disk > DISK / 2, "{ended:?}");
    // What a service wrote before it was ready is not the step's; what it writes later is.
    let wrote = "head -c 6291456 /dev/zero > /f || exit 1; touch /tmp/up; until [ -e /tmp/more ]; do sleep 0.05; done; exec sleep 100";
    for (writes, fails) in [("6M", false), ("12M", true)] {
        let beside = support::service::service("wrote", &image, wrote);
        let beside = support::service::ready(beside, support::service::exec("[ -e /tmp/up ]"));
        let script = format!(
            "for i in 1 2; do head -c $(({} / 2)) /dev/zero > f$i || exit 9; done; exit 3",
            writes.replace('M', " * 1048576")
        );
        let ended = run_in(&sandbox, &on_disk(&script).beside([beside]));
        assert_eq!(ended.execution.out_of_disk > 0, fails, "{ended:?}");
    }
}
