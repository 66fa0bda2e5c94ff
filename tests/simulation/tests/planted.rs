//! Mistakes that are found: a simulation that finds none says nothing.
#![allow(clippy::expect_used, reason = "a test that meets the unexpected has failed")]

mod support;

use support::play_all;

/// Within so many seeds. Most take fewer than ten.
const BOUND: u64 = 120;

fn assert_found(scenario: &str, bug: &str) {
    let played = play_all(&[scenario, bug], 1..BOUND, |played| played.code == 1);
    let found = played.iter().any(|played| played.code == 1);
    assert!(found, "{bug} is not found in {} seeds", played.len());
}

#[test]
fn ack_before_sync() {
    assert_found("raft", "AckBeforeSync");
}

#[test]
fn lose_votes() {
    assert_found("raft", "LoseVotes");
}

#[test]
fn keep_tail() {
    assert_found("raft", "KeepTail");
}

#[test]
fn skip_barrier() {
    assert_found("raft", "SkipBarrier");
}

#[test]
fn restore_leader() {
    assert_found("raft", "RestoreLeader");
}

#[test]
fn no_keepalive() {
    assert_found("raft", "NoKeepalive");
}

#[test]
fn skip_entry() {
    assert_found("raft", "SkipEntry");
}

#[test]
fn stale_snapshot() {
    assert_found("raft", "StaleSnapshot");
}

#[test]
fn deny_unknown() {
    assert_found("raft", "DenyUnknown");
}

#[test]
fn ack_early() {
    assert_found("raft", "AckEarly");
}

#[test]
fn ignore_epoch() {
    assert_found("cluster", "IgnoreEpoch");
}

#[test]
fn restart_effects() {
    assert_found("cluster", "RestartEffects");
}

#[test]
fn leak_capacity() {
    assert_found("cluster", "LeakCapacity");
}

#[test]
fn start_early() {
    assert_found("cluster", "StartEarly");
}

#[test]
fn lose_cancel() {
    assert_found("cluster", "LoseCancel");
}

#[test]
fn forget_outstanding() {
    assert_found("cluster", "ForgetOutstanding");
}

#[test]
fn lead_nobody() {
    assert_found("cluster", "LeadNobody");
}

#[test]
fn lead_early() {
    assert_found("cluster", "LeadEarly");
}

#[test]
fn drop_report() {
    assert_found("cluster", "DropReport");
}

#[test]
fn lose_workers() {
    assert_found("cluster", "LoseWorkers");
}

#[test]
fn drop_cancel() {
    assert_found("cluster", "DropCancel");
}

#[test]
fn keep_replaced() {
    assert_found("raft", "KeepReplaced");
}

#[test]
fn change_when_out() {
    assert_found("raft", "ChangeWhenOut");
}

#[test]
fn forget_requests() {
    assert_found("cluster", "ForgetRequests");
}

#[test]
fn forget_reports() {
    assert_found("cluster", "ForgetReports");
}

#[test]
fn start_twice() {
    assert_found("cluster", "StartTwice");
}
