//! Processes that are killed at any moment.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use super::*;
use crate::conformance;

const ROUNDS: u64 = 50;

/// Stores blobs and results, links and collects, until it is killed.
#[test]
fn child_writes_until_killed() {
    let Some(dir) = child_dir() else { return };
    // Its own run holds all that it writes: more than it can write before it is killed, or it would end by itself.
    let store = reopen(&dir, 512 * MIB);
    let actions = actions(&store);
    let _run = store.live_run().unwrap();
    let seed = u64::from(std::process::id()) << 20;
    for number in seed.. {
        let len = [8, 100, 5_000, 300_000][(number % 4) as usize];
        let blob = put_block(&store, number, len);
        let result = crate::ActionResult { stdout: crate::LogStream::Blob(blob), ..conformance::result("x") };
        actions.put_blocking(&digest(&number.to_string()), &result).unwrap();
        let output = dir.join(format!("output-{seed}"));
        fs::write(&output, number.to_string()).unwrap();
        store.adopt_file(&output, DigestFunction::Blake3).unwrap();
        if number % 7 == 0 {
            let link = dir.join(format!("link-{number}"));
            store.link_to(&blob, true, &link).unwrap();
            fs::remove_file(link).unwrap();
        }
        if number % 50 == 0 {
            drop(store.gc(4 * MIB));
        }
    }
}

#[test]
fn whatever_is_visible_after_a_kill_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for round in 0..ROUNDS {
        let mut child = child("crashing::child_writes_until_killed", dir.path());
        // Spread over start, first writes and full speed, not in step with anything.
        std::thread::sleep(Duration::from_micros(4_000 + round * 1_733 % 90_000));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "it worked until it was killed: {status}");
        let report = reopen(dir.path(), 8 * MIB).verify(false, &mut |_| {}).unwrap();
        // Blobs may have been evicted under a result; nothing may be wrong.
        let wrong = |damaged: &&crate::Damaged| !matches!(damaged, crate::Damaged::Incomplete { .. });
        assert_eq!(report.damaged.iter().find(wrong), None, "round {round}");
        seen = seen.max(report.blobs);
    }
    assert!(seen > 100, "the children got to work: {seen}");
    let store = reopen(dir.path(), 8 * MIB);
    let leftovers = fs::read_dir(dir.path().join("tmp")).unwrap().count();
    assert_eq!(leftovers, 1, "only the directory of this process is left");
    assert_eq!(store.gc(0).unwrap().bytes_after, 0, "no lease outlives its process");
}
