//! Steps that print too much, or start too many processes.

use std::time::Duration;

use cullet_tests::{Checkout, User};

use super::support::{alive, expect, expect_right_cache, is_plain, nap, skip, start};

/// The most memory Cullet may ever have had, in KiB, while it read those floods.
const MOST_KIB: u64 = 150_000;

/// What is kept of each stream, and what the rest of a small cache takes.
const MOST_STORED: u64 = (64 << 20) + (4 << 20);

/// The highest resident memory that the process had so far.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[track_caller]
fn flood(script: &str) -> String {
    let text = format!("cullet: 1\nsteps:\n  flood: {{ run: \"{script}\" }}\n");
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text));
    let mut run = start(&user, &checkout, &["run", "--progress", "plain"]);
    let mut peak = 0;
    while run.child().try_wait().unwrap().is_none() {
        peak = peak_kib(run.id()).unwrap_or(0).max(peak);
        std::thread::sleep(Duration::from_millis(20));
    }
    expect(&run.output(), 0, &["succeeded"]);
    assert!(peak < MOST_KIB, "{peak} KiB");
    let stored: u64 =
        super::support::blobs(&user).iter().map(|blob| std::fs::metadata(blob).unwrap().len()).sum();
    assert!(stored < MOST_STORED, "{stored} bytes");
    expect_right_cache(&user, &checkout);
    let logs = user.cullet(&checkout, ["logs", "flood"]);
    assert!(logs.status.success());
    String::from_utf8_lossy(&logs.stdout).into_owned()
}

#[test]
fn a_gibibyte_without_a_line_end_takes_no_memory_and_little_disk() {
    // A sparse file read by a program that writes large pieces: the gibibyte goes through the pipe all the same.
    let log = flood("truncate -s 1G x; cat x; echo; echo the end");
    assert!(log.len() < MOST_STORED as usize, "{}", log.len());
    assert!(log.contains("log limit reached"), "{}", &log[log.len() - 300..]);
}

#[test]
fn a_million_lines_take_no_memory() {
    let log = flood("seq 1000000");
    assert!(log.starts_with("1\\n2\\n3\\n") || log.starts_with("1\n2\n3\n"));
    assert!(log.ends_with("999999\n1000000\n"), "{}", &log[log.len() - 100..]);
}

#[test]
fn ten_thousand_processes_stay_within_the_step_and_end_with_it() {
    if is_plain() {
        return skip("plain processes have no limit of their own");
    }
    let text = "cullet: 1\nsteps:\n  forks:\n    run: 'i=0; while [ $i -lt 10000 ]; do sleep NAP & i=$((i+1)); done'\n  \
                after: { run: 'echo fine' }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text.replace("NAP", &nap(8))));
    let run = user.cullet(&checkout, ["run", "--keep-going", "--progress", "plain"]);
    expect(&run, 1, &["Cannot fork", "forks: failed", "after: succeeded"]);
    assert_eq!(alive(&nap(8)), 0);
    expect_right_cache(&user, &checkout);
}

#[test]
fn processes_that_go_their_own_way_end_with_the_step() {
    if is_plain() {
        return skip("plain processes can leave their session");
    }
    let text = "cullet: 1\nsteps:\n  demon: { run: 'setsid setsid sleep NAP >/dev/null 2>&1 </dev/null & exit 0' }\n";
    let (user, checkout) = (User::new(), Checkout::of_pipeline(&text.replace("NAP", &nap(9))));
    user.run(&checkout).assert_success();
    assert_eq!(alive(&nap(9)), 0);
}
