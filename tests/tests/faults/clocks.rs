//! Clocks that jump.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use cullet_tests::cluster::{Cluster, Process};
use cullet_tests::cullet_binary;

use super::support::{metric, unique};

/// Where libfaketime is, which Debian's package puts below a directory that is called after the machine's kind.
fn libfaketime() -> PathBuf {
    let listed = Command::new("dpkg").args(["-L", "libfaketime"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed.lines().find(|line| line.ends_with("/libfaketime.so.1")).expect("libfaketime is installed").into()
}

#[test]
fn clocks_that_disagree_by_a_day_expire_nothing() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 3, 1);
    let library = libfaketime();
    for (position, offset) in ["+1d", "-1d", "+0d"].into_iter().enumerate() {
        let mut command = cluster.coordinator_command(position);
        command.env("LD_PRELOAD", &library).env("FAKETIME", offset).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let log = cluster.dir().join(format!("c{position}.log"));
        cluster.put_coordinator(position, Process::start(command, &log));
    }
    cluster.agreed();
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    let mut run = cluster.begin_run(&unique(&cluster, "long", "echo begun; sleep 8"), &[]);
    run.until("begun");
    for _ in 0..3 {
        let to = cluster.cullet(&["cluster", "transfer", "--cluster", &cluster.url(0)]);
        assert_eq!(to.exit_code, 0, "{}", to.stderr);
    }
    let ended = run.outcome();
    ended.assert_success();
    let starts = ended.events.iter().filter(|event| event["event"] == "step_started").count();
    assert_eq!(starts, 1, "nobody lost it: {:?}", ended.events);
    let times: Vec<&str> = ended.events.iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    cluster.agreed();
}

/// The day that it is when this is added to now, in UTC.
fn day(offset: &str) -> String {
    let output = Command::new("date").args(["-u", "-d", offset, "+%F"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The clock of a process is set by a file, which is read again each second.
fn set_by(command: &mut Command, file: &std::path::Path) {
    std::fs::write(file, "+0d\n").unwrap();
    command.env("LD_PRELOAD", libfaketime()).env("FAKETIME_TIMESTAMP_FILE", file);
    command.env("FAKETIME_CACHE_DURATION", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

/// Whether somebody said something like this on that day.
fn says(cluster: &Cluster, day: &str, what: &str) -> bool {
    cluster.logs().lines().any(|line| line.starts_with(day) && line.contains(what))
}

#[test]
fn clocks_that_jump_by_a_day_expire_nothing() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 3, 2);
    let clock = |cluster: &Cluster, position: usize| cluster.dir().join(format!("clock-{position}"));
    for position in 0..3 {
        let mut command = cluster.coordinator_command(position);
        set_by(&mut command, &clock(&cluster, position));
        let log = cluster.dir().join(format!("c{position}.log"));
        cluster.put_coordinator(position, Process::start(command, &log));
    }
    let before = cluster.agreed();
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    let mut run = cluster.begin_run(&unique(&cluster, "long", "echo begun; sleep 14"), &[]);
    run.until("begun");
    let led = cluster.leader_of(&before);
    let (tomorrow, yesterday) = (day("+1 day"), day("-1 day"));
    // The leader's forwards and a follower's backwards; then the other way round, by two days.
    let jump = |cluster: &Cluster, ahead, behind| {
        std::fs::write(clock(cluster, ahead), "+1d\n").unwrap();
        std::fs::write(clock(cluster, behind), "-1d\n").unwrap();
        std::thread::sleep(Duration::from_secs(4));
    };
    jump(&cluster, led, (led + 1) % 3);
    // The leader says when that is.
    cluster.run_worker(1, &[]);
    cluster.with_workers(2);
    assert!(says(&cluster, &tomorrow, "joined"), "its clock has not jumped: {}", cluster.logs());
    jump(&cluster, (led + 1) % 3, led);
    // So that it says it again.
    let ended = cluster.take_worker(1).terminate(Duration::from_secs(20));
    assert_eq!(ended, Some(0), "{}", cluster.logs());
    cluster.run_worker(1, &[]);
    cluster.with_workers(2);
    assert!(says(&cluster, &yesterday, "joined"), "its clock has not jumped back: {}", cluster.logs());
    let after = cluster.agreed();
    assert_eq!(
        (&after["leader"], &after["term"]),
        (&before["leader"], &before["term"]),
        "nobody was elected"
    );
    let ended = run.outcome();
    ended.assert_success();
    assert_eq!(metric(&cluster, 3, "cullet_worker_leases_lost_total"), 0);
    let starts = ended.events.iter().filter(|event| event["event"] == "step_started").count();
    assert_eq!(starts, 1, "nobody lost it: {:?}", ended.events);
    let times: Vec<&str> = ended.events.iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    // The next leader's clock says something else, and the log goes on from where it was.
    cluster.kill_coordinator(led);
    cluster.agreed();
    let next = cluster.run(&unique(&cluster, "next", "true"), &[]);
    next.assert_success();
    let earlier = times.last().unwrap();
    assert!(next.events.iter().all(|event| event["time"].as_str().unwrap() >= *earlier), "{:?}", next.events);
}
