//! Coordinators come, go, and are lost.

use std::time::Duration;

use cullet_tests::cluster::{Cluster, until};

#[test]
fn three_processes_are_one_cluster_that_survives_any_of_them() {
    let mut cluster = Cluster::start(3, 0);
    let status = cluster.agreed();
    assert_eq!(status["members"].as_array().unwrap().len(), 3);
    for _ in 0..3 {
        let before = cluster.agreed();
        let led = cluster.leader_of(&before);
        cluster.kill_coordinator(led);
        let after = until("another leader", || {
            let status = cluster.status((led + 1) % 3)?;
            (status["ready"] == true && status["leader"] != before["leader"] && !status["leader"].is_null())
                .then_some(status)
        });
        assert_ne!(cluster.leader_of(&after), led);
        cluster.run_coordinator(led);
        cluster.agreed();
    }
}

#[test]
fn a_wiped_coordinator_comes_back_as_another_one() {
    let mut cluster = Cluster::start(3, 0);
    let before = cluster.agreed();
    let wiped = (cluster.leader_of(&before) + 1) % 3;
    let old = cluster.id(wiped);
    cluster.kill_coordinator(wiped);
    std::fs::remove_dir_all(cluster.data(wiped)).unwrap();
    cluster.run_coordinator(wiped);
    let after = cluster.agreed();
    assert_ne!(cluster.id(wiped), old);
    let ids: Vec<&str> =
        after["members"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert!(ids.len() == 3 && !ids.contains(&&*old), "{after}");
}

#[test]
fn operators_commands_work_through_any_coordinator() {
    let cluster = Cluster::start(3, 0);
    let before = cluster.agreed();
    let led = cluster.leader_of(&before);
    let through = cluster.url((led + 1) % 3);
    let moved = cluster.cullet(&["cluster", "transfer", "--cluster", &through]);
    assert_eq!(moved.exit_code, 0, "{}", moved.stderr);
    let after = cluster.agreed();
    assert_ne!(after["leader"], before["leader"]);
    let unknown = cluster.cullet(&["cluster", "remove", "00000000000000aa", "--cluster", &through]);
    assert_eq!(unknown.exit_code, 2, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("there is no member"), "{}", unknown.stderr);
    let removed = cluster.id(led);
    let removal = cluster.cullet(&["cluster", "remove", &removed, "--cluster", &through]);
    assert_eq!(removal.exit_code, 0, "{}", removal.stderr);
    until("two members", || {
        let status = cluster.status((led + 1) % 3)?;
        (status["members"].as_array()?.len() == 2).then_some(())
    });
}

#[test]
fn a_signal_ends_a_coordinator_cleanly() {
    let mut cluster = Cluster::start(1, 0);
    cluster.agreed();
    assert_eq!(cluster.take_coordinator(0).terminate(Duration::from_secs(10)), Some(0));
}
