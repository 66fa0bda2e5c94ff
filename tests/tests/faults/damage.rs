//! What a coordinator has on its disk, damaged or gone while it is down. It cannot know any more what it voted for, so it
//! must not vote as the one that it was, nor serve what it has.

use std::path::Path;
use std::time::{Duration, Instant};

use cullet_tests::cluster::{Cluster, until};
use cullet_tests::cullet_binary;

use super::logs::{newest_segment, with_history, written};
use super::puppet::{fill_log, snapshots};
use super::support::get;

/// For so long nobody may lead.
const WATCHED: Duration = Duration::from_secs(6);

fn flip(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

/// Where the last vote is in a segment; see the table in coordinator/log/src/frame.rs.
fn last_vote(segment: &[u8]) -> Option<usize> {
    const SEGMENT_HEADER: usize = 64;
    const FRAME_HEADER: usize = 32;
    const RECORD_HEADER: usize = 20;
    const VOTE: u8 = 2;
    let number = |at: usize| u32::from_le_bytes(segment[at..at + 4].try_into().unwrap()) as usize;
    let (mut frame, mut found) = (SEGMENT_HEADER, None);
    while segment.get(frame..frame + 4) == Some(b"CLfr") {
        let end = frame + FRAME_HEADER + number(frame + 4);
        let mut record = frame + FRAME_HEADER;
        while record < end {
            if segment[record + 10] == VOTE {
                found = Some(record + RECORD_HEADER);
            }
            record += RECORD_HEADER + number(record + 4);
        }
        frame = end;
    }
    found
}

/// All are down. Of three, one is damaged like this, and starts with one other that is not: without its vote there is no
/// majority. With the third there is, and it becomes a member under another number.
fn casts_no_vote(damage: impl FnOnce(&Path), says: Option<&str>) {
    let (mut cluster, follower) = with_history();
    let id = cluster.id(follower);
    let before = cluster.agreed_leader()["leader"].clone();
    let known = cluster.cullet(&["runs", "--format", "json", "--cluster", &cluster.url(0)]).stdout;
    (0..3).for_each(|position| cluster.kill_coordinator(position));
    damage(&cluster.data(follower));
    let (other, last) = ((follower + 1) % 3, (follower + 2) % 3);
    cluster.run_coordinator(follower);
    cluster.run_coordinator(other);
    until("the other one is there", || cluster.status(other));
    let began = Instant::now();
    while began.elapsed() < WATCHED {
        for position in [follower, other] {
            assert_ne!(get(&cluster, position, "/readyz"), Some(200), "coordinator {position} serves");
            let Some(status) = cluster.status(position) else { continue };
            // What its vote was for is all that it knows, and that one does not run.
            let leader = &status["leader"];
            assert!(leader.is_null() || *leader == before, "coordinator {position} knows a leader: {status}");
        }
    }
    cluster.run_coordinator(last);
    repaired(&cluster, follower, &id, says);
    for position in 0..3 {
        let answer = cluster.cullet(&["runs", "--format", "json", "--cluster", &cluster.url(position)]);
        assert_eq!(answer.stdout, known, "coordinator {position}: {}", answer.stderr);
    }
}

/// It is a member again, under another number; all have the same state; the one that it was is none.
fn repaired(cluster: &Cluster, position: usize, id: &str, says: Option<&str>) {
    let status = until("the one that it was is gone", || {
        let status = cluster.agreed();
        let members = status["members"].as_array().unwrap();
        let has_gone = members.iter().all(|member| member["id"] != id);
        (has_gone && members.len() == 3).then_some(status)
    });
    assert_ne!(cluster.id(position), id, "{status}");
    if let Some(says) = says {
        let said = std::fs::read_to_string(cluster.dir().join(format!("c{position}.log"))).unwrap();
        assert!(said.contains(says) && said.contains("is put aside"), "{said}");
        assert!(cluster.data(position).join("raft.damaged").exists());
    }
}

#[test]
fn a_coordinator_whose_vote_is_damaged_casts_none() {
    let damage = |data: &Path| {
        let segment = newest_segment(data);
        let vote = last_vote(&std::fs::read(&segment).unwrap()).expect("it has voted");
        flip(&segment, vote);
    };
    casts_no_vote(damage, Some("is damaged at byte"));
}

#[test]
fn a_coordinator_whose_identity_is_damaged_casts_no_vote() {
    casts_no_vote(|data| flip(&data.join("raft/identity"), 30), Some("its checksum is wrong"));
}

#[test]
fn a_coordinator_whose_directory_is_gone_casts_no_vote() {
    casts_no_vote(|data| std::fs::remove_dir_all(data).unwrap(), None);
}

/// The newest segment of one's log has other bytes in it: the change gets them, and where what was written ends.
fn is_damage(change: impl FnOnce(&mut Vec<u8>, usize)) {
    let (mut cluster, follower) = with_history();
    let id = cluster.id(follower);
    cluster.kill_coordinator(follower);
    let segment = newest_segment(&cluster.data(follower));
    let mut bytes = std::fs::read(&segment).unwrap();
    change(&mut bytes, written(&segment));
    std::fs::write(&segment, bytes).unwrap();
    cluster.run_coordinator(follower);
    repaired(&cluster, follower, &id, Some("is damaged at byte"));
}

#[test]
fn bytes_that_nobody_wrote_behind_the_log_are_damage() {
    is_damage(|bytes, end| {
        bytes.truncate(end);
        // As good as random, and never zero.
        bytes.extend((1..=900_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8 | 1));
    });
}

#[test]
fn a_tail_with_other_bytes_in_it_is_damage() {
    is_damage(|bytes, end| bytes[end - 40..end].fill(0x5a));
}

#[test]
fn a_damaged_snapshot_is_found_and_comes_from_the_others() {
    let mut cluster = Cluster::prepare(cullet_binary().clone(), 3, 0).leasing("60");
    (0..3).for_each(|position| cluster.run_coordinator(position));
    let led = cluster.leader_of(&cluster.agreed_leader());
    let follower = (led + 1) % 3;
    let is_there = || !snapshots(&cluster.data(follower)).is_empty();
    fill_log(&cluster, led, is_there);
    cluster.agreed();
    let id = cluster.id(follower);
    cluster.kill_coordinator(follower);
    for snapshot in snapshots(&cluster.data(follower)) {
        let middle = std::fs::metadata(&snapshot).unwrap().len() / 2;
        flip(&snapshot, middle as usize);
    }
    cluster.run_coordinator(follower);
    repaired(&cluster, follower, &id, Some("snapshot-"));
}
