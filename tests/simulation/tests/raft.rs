//! Coordinators agree and lose nothing, whatever fails.
#![allow(clippy::expect_used, reason = "a test that meets the unexpected has failed")]

mod support;

use support::{assert_holds, play, play_all, seeds};

/// A minute on two processors.
const USUAL: u64 = 400;

#[test]
fn coordinators_agree_and_lose_nothing() {
    assert_holds(&play_all(&["raft"], seeds(USUAL), |_| false));
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 77] {
        let first = play(&["raft"], seed);
        assert!(first.line.contains("trace"), "{first:?}");
        assert_eq!(first, play(&["raft"], seed));
    }
    assert_ne!(play(&["raft"], 3).line, play(&["raft"], 4).line);
}
