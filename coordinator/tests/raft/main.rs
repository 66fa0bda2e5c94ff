//! Real coordinators on loopback, each with a log on disk: agreement, a lost leader, snapshots, members that come, go
//! and lose their disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod harness;
mod large;
mod members;
#[path = "../support/mod.rs"]
mod support;

use std::time::Instant;

use cullet_coordinator::raft::{NodeError, ProposeError};
use cullet_core::{Effect, RunId};
use cullet_proto::raft::Frame;
use cullet_proto::raft::raft_client::RaftClient;
use cullet_raft_log::{ClusterId, Identity};
use harness::{CLUSTER, Coordinator, cluster, commit, leader, open, runs, same_state, submit};
use support::{TIMING, until};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_is_everywhere_and_survives_a_restart() {
    let dir = TempDir::new().unwrap();
    let mut all = cluster(dir.path()).await;
    for run in 1..=20 {
        commit(&all, run).await;
    }
    let before = same_state(&all).await;
    assert_eq!(runs(&all[0]), (1..=20).collect::<Vec<_>>());
    for coordinator in &mut all {
        coordinator.kill().await;
    }
    for coordinator in &mut all {
        coordinator.restart().await;
    }
    leader(&all).await;
    assert_eq!(same_state(&all).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_proposed_is_in_the_log_once() {
    let dir = TempDir::new().unwrap();
    let all = cluster(dir.path()).await;
    let node = all[leader(&all).await].node();
    let before = node.view().last_log_index;
    for run in 1..=20 {
        let accepted = vec![Effect::SubmitAccepted { run: RunId(run), existed: false }];
        assert_eq!(node.propose(submit(run)).await.unwrap()[..1], accepted);
    }
    node.barrier().await.unwrap();
    assert_eq!(node.view().last_log_index, before + 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_leader_is_replaced_and_nothing_is_lost() {
    let dir = TempDir::new().unwrap();
    let mut all = cluster(dir.path()).await;
    let mut acknowledged = Vec::new();
    for round in 0..3_u128 {
        let led = leader(&all).await;
        for run in round * 10..round * 10 + 10 {
            if all[led].node().propose(submit(run)).await.is_ok() {
                acknowledged.push(run);
            }
        }
        all[led].kill().await;
        let follower = all.iter().position(|coordinator| coordinator.running.is_some()).unwrap();
        let next = leader(&all).await;
        assert_ne!(next, led);
        let told = until("the new leader is known", async || all[follower].node().leader()).await;
        assert_ne!(told.id, all[led].identity.node);
        all[led].restart().await;
    }
    same_state(&all).await;
    assert_eq!(acknowledged.len(), 30);
    for coordinator in &all {
        assert_eq!(runs(coordinator), acknowledged);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minority_decides_nothing() {
    let dir = TempDir::new().unwrap();
    let mut all = cluster(dir.path()).await;
    commit(&all, 1).await;
    let led = leader(&all).await;
    for position in (0..3).filter(|position| *position != led) {
        all[position].kill().await;
    }
    let asked = Instant::now();
    let refused = all[led].node().propose(submit(2)).await.unwrap_err();
    assert!(matches!(refused, ProposeError::Unknown { .. } | ProposeError::NotLeader { .. }), "{refused}");
    let refused = all[led].node().barrier().await.unwrap_err();
    assert!(matches!(refused, ProposeError::Unknown { .. } | ProposeError::NotLeader { .. }), "{refused}");
    assert!(asked.elapsed() < 3 * TIMING.commit, "it answers in bounded time");
    assert_eq!(runs(&all[led]), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_for_somebody_else_are_refused_with_the_reason() {
    let dir = TempDir::new().unwrap();
    let one = Coordinator::start(dir.path(), 1).await;
    let mut client = RaftClient::connect(one.member().address).await.unwrap();
    let frame = Frame { cluster_id: CLUSTER.to_string(), format: 1, to: 7, ..Frame::default() };
    let mut answers = client.append(futures_util::stream::iter([frame])).await.unwrap().into_inner();
    let refused = answers.message().await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert!(refused.message().contains("0000000000000007 is meant"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_another_cluster_is_refused() {
    let dir = TempDir::new().unwrap();
    let mut one = Coordinator::start(dir.path(), 1).await;
    one.kill().await;
    let other = Identity { cluster: ClusterId([8; 16]), node: 1 };
    let refused = until("an answer", async || match open(&one.dir, other).await {
        Err(NodeError::Log(cullet_raft_log::Error::Locked { .. })) => None,
        opened => Some(opened.unwrap_err()),
    })
    .await;
    assert!(refused.to_string().contains("belongs to cluster 0707"), "{refused}");
}
