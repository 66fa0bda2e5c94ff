//! Members that come, go, lose their disk, and take over.

use std::time::Duration;

use cullet_coordinator::raft::{NodeId, ProposeError};
use tempfile::TempDir;

use crate::harness::{Coordinator, cluster, commit, leader, runs, same_state};
use crate::support::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_member_gets_a_snapshot() {
    let dir = TempDir::new().unwrap();
    let mut all = cluster(dir.path()).await;
    for run in 1..=10 {
        commit(&all, run).await;
    }
    let led = leader(&all).await;
    all[led].node().snapshot().await.unwrap();
    until("a snapshot", async || (all[led].node().view().snapshot_index > 0).then_some(())).await;
    let added = Coordinator::start(dir.path(), 4).await;
    all[led].node().add_member(4, added.member(), false).await.unwrap();
    all.push(added);
    same_state(&all).await;
    assert_eq!(runs(&all[3]), (1..=10).collect::<Vec<_>>());
    assert_eq!(all[led].node().view().members.iter().filter(|member| member.voter).count(), 4);
    // It can be taken out again, and the cluster goes on.
    until("it is removed", async || {
        let led = leader(&all).await;
        all[led].node().remove_member(4).await.ok()
    })
    .await;
    all[3].kill().await;
    commit(&all, 11).await;
    let led = leader(&all).await;
    assert_eq!(all[led].node().view().members.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_removed_is_remembered_by_whoever_leads_later() {
    let dir = TempDir::new().unwrap();
    let mut all = cluster(dir.path()).await;
    let led = leader(&all).await;
    let (gone, last) = ((led + 1) % 3, (led + 2) % 3);
    let (id, member) = (all[gone].identity.node, all[gone].member());
    // It does not hear of it.
    all[gone].kill().await;
    all[led].node().remove_member(id).await.unwrap();
    same_state(&all).await;
    // From now on it is only in a snapshot.
    all[last].node().snapshot().await.unwrap();
    until("a snapshot", async || (all[last].node().view().snapshot_index > 0).then_some(())).await;
    for position in [led, last] {
        all[position].kill().await;
    }
    for position in [led, last] {
        all[position].restart().await;
    }
    until("it leads", async || {
        let led = leader(&all).await;
        if led == last { Some(()) } else { all[led].node().transfer(None).await.ok().and(None) }
    })
    .await;
    let refused = all[last].node().add_member(id, member, false).await.unwrap_err();
    assert!(matches!(refused, ProposeError::Refused { .. }), "{refused}");
    assert!(refused.to_string().contains("empty data directory"), "{refused}");
    // It is told so when it comes back, by any of them.
    all[gone].restart().await;
    assert!(!all[gone].node().is_removed());
    for other in [led, last] {
        assert!(all[gone].node().was_removed(&all[other].member().address).await);
        assert!(!all[other].node().was_removed(&all[last].member().address).await);
    }
    assert!(all[gone].node().is_removed() && !all[last].node().is_removed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_without_its_disk_is_another_member() {
    let dir = TempDir::new().unwrap();
    let mut all = cluster(dir.path()).await;
    commit(&all, 1).await;
    let led = leader(&all).await;
    let lost = (led + 1) % 3;
    all[lost].kill().await;
    std::fs::remove_dir_all(&all[lost].dir).unwrap();
    all[lost].identity.node = 99;
    all[lost].dir = dir.path().join("99");
    all[lost].restart().await;
    commit(&all, 2).await;
    // Alone it is nobody: it knows no cluster, and nobody asks it for a vote.
    assert!(all[lost].node().view().members.is_empty());
    let led = leader(&all).await;
    all[led].node().add_member(99, all[lost].member(), false).await.unwrap();
    same_state(&all).await;
    let view = all[led].node().view();
    assert!(view.members.len() == 3 && view.members.iter().all(|member| member.voter));
    assert!(view.members.iter().any(|member| member.id == 99 && member.voter));
    assert_eq!(runs(&all[lost]), [1, 2]);
}

/// One of three comes back without its disk, and who leads dies while it is being replaced. Says whether that was
/// half-way.
async fn replaced_under_a_leader_that_dies(delay: Duration) -> bool {
    let dir = TempDir::new().unwrap();
    let mut all = cluster(dir.path()).await;
    commit(&all, 1).await;
    let led = leader(&all).await;
    let lost = (led + 1) % 3;
    let lost_id = all[lost].identity.node;
    all[lost].kill().await;
    std::fs::remove_dir_all(&all[lost].dir).unwrap();
    all[lost].identity.node = 99;
    all[lost].dir = dir.path().join("99");
    all[lost].restart().await;
    let (node, member) = (all[led].node().clone(), all[lost].member());
    let adding = tokio::spawn(async move { node.add_member(99, member, false).await });
    tokio::time::sleep(delay).await;
    all[led].kill().await;
    adding.abort();
    all[led].restart().await;
    commit(&all, 2).await;
    let ids = |view: &cullet_coordinator::raft::RaftView| -> Vec<NodeId> {
        view.members.iter().map(|member| member.id).collect()
    };
    let found = ids(&all[leader(&all).await].node().view());
    until("the change to be finished", async || {
        let led = leader(&all).await;
        all[led].node().finish_change().await.ok()?;
        // What one that has no place yet asks for again and again.
        let placed = ids(&all[led].node().view()).contains(&99);
        if placed { Some(()) } else { all[led].node().add_member(99, all[lost].member(), false).await.ok() }
    })
    .await;
    commit(&all, 3).await;
    same_state(&all).await;
    let view = all[leader(&all).await].node().view();
    assert!(view.members.len() == 3 && view.members.iter().all(|member| member.voter), "{view:?}");
    assert!(!ids(&view).contains(&lost_id), "{view:?}");
    assert_eq!(runs(&all[lost]), [1, 2, 3]);
    found.contains(&99) && found.contains(&lost_id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replacement_whose_leader_dies_is_finished_by_the_next_one() {
    let mut half_way = 0;
    for delay in [0, 2, 4, 7, 12, 20, 35] {
        half_way += u32::from(replaced_under_a_leader_that_dies(Duration::from_millis(delay)).await);
    }
    assert!(half_way > 0, "it never died in between");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finishes_a_change_stays_out_of_one_that_is_under_way() {
    let dir = TempDir::new().unwrap();
    let mut all = cluster(dir.path()).await;
    let led = leader(&all).await;
    let node = all[led].node().clone();
    // As a new leader does.
    let finishing = tokio::spawn(async move {
        loop {
            match node.finish_change().await {
                Ok(()) | Err(ProposeError::NotLeader { .. }) => tokio::task::yield_now().await,
                Err(error) => return error,
            }
        }
    });
    for id in 4..10 {
        let added = Coordinator::start(dir.path(), id).await;
        all[led].node().add_member(id, added.member(), false).await.unwrap();
        all[led].node().remove_member(id).await.unwrap();
        all.push(added);
    }
    // Whoever asks for this one does not wait for the end of it.
    let gone = all[(led + 1) % 3].identity.node;
    until("it is done all the same", async || {
        let asked = all[led].node().remove_member(gone);
        drop(tokio::time::timeout(Duration::from_millis(1), asked).await);
        let view = all[led].node().view();
        (view.members.len() == 2 && view.members.iter().all(|member| member.voter)).then_some(())
    })
    .await;
    finishing.abort();
    let ended = finishing.await.unwrap_err();
    assert!(ended.is_cancelled(), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_can_be_given_away() {
    let dir = TempDir::new().unwrap();
    let all = cluster(dir.path()).await;
    commit(&all, 1).await;
    let led = leader(&all).await;
    let to = all[(led + 1) % 3].identity.node;
    assert_eq!(all[led].node().transfer(Some(to)).await.unwrap(), to);
    let next = leader(&all).await;
    assert_eq!(all[next].identity.node, to);
    assert!(all[next].node().transfer(Some(12345)).await.is_err());
}
