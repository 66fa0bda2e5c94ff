//! Clients that repeat themselves, go away, or come in crowds.

use std::process::Stdio;

use cullet_tests::cluster::{Cluster, Running, until};

use super::support::{metric, unique};

#[test]
fn a_hundred_submissions_of_one_request_are_one_run() {
    let cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let dir = unique(&cluster, "once", "sleep 1; date +%N");
    // Each asks one coordinator, which passes on what is not its own.
    let submit = |number: usize| {
        let mut command = cluster.command();
        let url = cluster.url(number % 3);
        command.current_dir(&dir).args([
            "run",
            "--progress",
            "json",
            "--request-id",
            "same",
            "--cluster",
            &url,
        ]);
        Running::start(command)
    };
    let all: Vec<Running> = (0..100).map(submit).collect();
    let mut runs: Vec<String> = all
        .into_iter()
        .map(|run| {
            let ended = run.outcome();
            ended.assert_success();
            let starts = ended.events.iter().filter(|event| event["event"] == "step_started").count();
            assert_eq!(starts, 1, "{:?}", ended.events);
            ended.events[0]["run"].as_str().unwrap().to_owned()
        })
        .collect();
    runs.dedup();
    assert_eq!(runs.len(), 1);
    assert_eq!(metric(&cluster, 3, "cullet_attempts_started_total"), 1);
    let listed = cluster.cullet(&["runs", "--format", "json", "--cluster", &cluster.url(0)]);
    assert_eq!(listed.stdout.lines().count(), 1, "{}", listed.stdout);
}

#[test]
fn a_reader_that_stands_still_holds_up_nobody() {
    let cluster = Cluster::start(1, 1);
    cluster.with_workers(1);
    let dir = unique(
        &cluster,
        "talk",
        "i=0; while [ $i -lt 40000 ]; do echo line number $i of a long log; i=$((i+1)); done",
    );
    let run = cluster.detach(&dir);
    let mut slow = cluster.command();
    slow.args(["logs", &run, "s", "-f", "--cluster", &cluster.urls()]);
    let slow = slow.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let resident = || {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", cluster.coordinator(0).unwrap().id()))
                .unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = resident();
    // Nobody reads its output, so it stops reading as well.
    let ended = cluster.cullet(&["attach", &run, "--cluster", &cluster.urls(), "--progress", "json"]);
    assert_eq!(ended.exit_code, 0, "{}", ended.stderr);
    assert!(resident() < before + 64 * 1024, "{} KiB, then {} KiB", before, resident());
    let read = slow.wait_with_output().unwrap();
    let lines = String::from_utf8(read.stdout).unwrap();
    assert_eq!(lines.lines().count(), 40_000, "{}", String::from_utf8_lossy(&read.stderr));
    assert!(lines.lines().enumerate().all(|(i, line)| line == format!("line number {i} of a long log")));
}

#[test]
fn a_client_that_is_killed_again_and_again_misses_nothing() {
    let cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    let dir = unique(&cluster, "watched", "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.5; done");
    let run = cluster.detach(&dir);
    for _ in 0..10 {
        let mut reader = cluster.command();
        reader.args(["logs", &run, "s", "-f", "--cluster", &cluster.urls()]);
        let mut reader = reader.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
        reader.kill().unwrap();
        reader.wait().unwrap();
    }
    let log = until("the log", || {
        let log = cluster.cullet(&["logs", &run, "s", "-f", "--cluster", &cluster.urls()]);
        (log.exit_code == 0).then_some(log.stdout)
    });
    assert_eq!(log, "1\n2\n3\n4\n5\n6\n7\n8\n");
}
