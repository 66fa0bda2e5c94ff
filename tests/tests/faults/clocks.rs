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

/// A step runs while clocks jump. An error where a coordinator was elected or a worker lost meanwhile, which a busy machine
/// does as well.
fn jumps(cluster: &mut Cluster, attempt: usize) -> Result<(), String> {
    let clock = |cluster: &Cluster, position: usize| cluster.dir().join(format!("clock-{position}"));
    let lost = |cluster: &Cluster| metric(cluster, 3, "cullet_worker_leases_lost_total");
    let name = format!("long-{attempt}");
    let mut run = cluster.begin_run(&unique(cluster, &name, "echo begun; sleep 10"), &[]);
    run.until("begun");
    let (before, lost_before) = (cluster.agreed_leader(), lost(cluster));
    let led = cluster.leader_of(&before);
    // The leader's forwards and a follower's backwards; then the other way round, by two days.
    for (ahead, behind, today) in [(led, (led + 1) % 3, day("+1 day")), ((led + 1) % 3, led, day("-1 day"))] {
        std::fs::write(clock(cluster, ahead), "+1d\n").unwrap();
        std::fs::write(clock(cluster, behind), "-1d\n").unwrap();
        std::thread::sleep(Duration::from_secs(3));
        // So that the leader says when it is; gone like this, a worker is not lost.
        cluster.run_worker(1, &[]);
        cluster.with_workers(2);
        let said = cluster.logs();
        let joined = said.lines().filter(|line| line.starts_with(&today) && line.contains("a worker joined"));
        let has_jumped = joined.count() > 0;
        let ended = cluster.take_worker(1).terminate(Duration::from_secs(30));
        assert_eq!(ended, Some(0), "{}", cluster.logs());
        let after = cluster.agreed_leader();
        if (&after["leader"], &after["term"]) != (&before["leader"], &before["term"]) {
            return Err(format!("{before}, then {after}"));
        }
        assert!(has_jumped, "the leader's clock has not jumped to {today}: {said}");
    }
    let ended = run.outcome();
    ended.assert_success();
    let times: Vec<&str> = ended.events.iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let starts = ended.events.iter().filter(|event| event["event"] == "step_started").count();
    if (starts, lost(cluster)) != (1, lost_before) {
        return Err(format!("the worker was lost: {:?}", ended.events));
    }
    // The next leader's clock says something else, and the log goes on from where it was.
    cluster.kill_coordinator(led);
    cluster.agreed();
    let next = cluster.run(&unique(cluster, "next", "true"), &[]);
    next.assert_success();
    let earlier = times.last().unwrap();
    assert!(next.events.iter().all(|event| event["time"].as_str().unwrap() >= *earlier), "{:?}", next.events);
    Ok(())
}

#[test]
fn clocks_that_jump_by_a_day_expire_nothing() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 3, 2);
    for position in 0..3 {
        let mut command = cluster.coordinator_command(position);
        set_by(&mut command, &cluster.dir().join(format!("clock-{position}")));
        let log = cluster.dir().join(format!("c{position}.log"));
        cluster.put_coordinator(position, Process::start(command, &log));
    }
    cluster.agreed();
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    // What clocks cause comes each time.
    let attempts: Vec<_> = (0..4).map_while(|attempt| jumps(&mut cluster, attempt).err()).collect();
    assert!(attempts.len() < 4, "{attempts:#?}");
}
