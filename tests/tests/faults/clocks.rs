//! Clocks that jump.

use cullet_tests::cluster::{Cluster, Process};
use cullet_tests::cullet_binary;

use super::support::unique;

/// Where libfaketime is, which Debian's package puts below a directory that is called after the machine's kind.
fn libfaketime() -> std::path::PathBuf {
    let listed = std::process::Command::new("dpkg").args(["-L", "libfaketime"]).output().unwrap();
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
