//! Logs that are torn or damaged while their coordinator is down.

use std::path::{Path, PathBuf};

use cullet_tests::cluster::{Cluster, until};

use super::support::unique;

/// The newest file of a log that holds entries.
pub(super) fn newest_segment(data: &Path) -> PathBuf {
    let files = std::fs::read_dir(data.join("raft")).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).collect();
    segments.sort();
    segments.pop().expect("a log has a segment")
}

/// The length of what was written into it: behind that it has room.
pub(super) fn written(segment: &Path) -> usize {
    let bytes = std::fs::read(segment).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

pub(super) fn with_history() -> (Cluster, usize) {
    let cluster = Cluster::start(3, 1);
    cluster.with_workers(1);
    for number in 0..3 {
        cluster.run(&unique(&cluster, &format!("history-{number}"), "true"), &[]).assert_success();
    }
    let follower = (cluster.leader_of(&cluster.agreed_leader()) + 1) % 3;
    (cluster, follower)
}

#[test]
fn a_torn_tail_is_cut_away_and_fetched_again() {
    let (mut cluster, follower) = with_history();
    let id = cluster.id(follower);
    cluster.kill_coordinator(follower);
    let segment = newest_segment(&cluster.data(follower));
    let file = std::fs::File::options().write(true).open(&segment).unwrap();
    file.set_len(written(&segment) as u64 - 7).unwrap();
    cluster.run_coordinator(follower);
    cluster.agreed();
    assert_eq!(cluster.id(follower), id, "a torn tail is no damage");
}

#[test]
fn a_flipped_bit_is_found_and_the_log_comes_from_the_others() {
    let (mut cluster, follower) = with_history();
    let id = cluster.id(follower);
    cluster.kill_coordinator(follower);
    let segment = newest_segment(&cluster.data(follower));
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[written(&segment) / 2] ^= 0x10;
    std::fs::write(&segment, bytes).unwrap();
    cluster.run_coordinator(follower);
    cluster.agreed();
    assert_ne!(cluster.id(follower), id, "it cannot prove what it voted for, so it is another one now");
    // Between the old members and the new ones both count.
    until("the one that it was is gone", || {
        (cluster.agreed()["members"].as_array().unwrap().len() == 3).then_some(())
    });
    assert!(cluster.data(follower).join("raft.damaged").exists());
}
