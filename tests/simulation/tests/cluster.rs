//! Runs end as they should, once, whatever fails.
#![allow(clippy::expect_used, reason = "a test that meets the unexpected has failed")]

mod support;

use support::{assert_holds, play, play_all, seeds};

/// Little more than a minute on two processors.
const USUAL: u64 = 200;

#[test]
fn runs_end_once_and_steps_run_once() {
    assert_holds(&play_all(&["cluster"], seeds(USUAL), |_| false));
}

#[test]
fn the_same_seed_is_the_same_run() {
    let first = play(&["cluster"], 8);
    assert!(first.line.contains("trace"), "{first:?}");
    assert_eq!(first, play(&["cluster"], 8));
}
