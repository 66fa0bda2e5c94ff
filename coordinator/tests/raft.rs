//! Real coordinators on loopback, each with a log on disk: agreement, a lost leader, snapshots, members that come, go
//! and lose their disk.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cullet_coordinator::raft::{Member, Node, NodeError, NodeId, ProposeError};
use cullet_core::spec::RunSpec;
use cullet_core::{Effect, LogCommand, RunId};
use cullet_proto::Dial;
use cullet_proto::raft::Frame;
use cullet_proto::raft::raft_client::RaftClient;
use cullet_proto::raft::raft_server::RaftServer;
use cullet_raft_log::{ClusterId, Identity};
use support::{TIMING, until};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

const CLUSTER: ClusterId = ClusterId([7; 16]);

/// A coordinator that can be killed and started again at its address.
struct Coordinator {
    dir: PathBuf,
    identity: Identity,
    address: SocketAddr,
    running: Option<(Node, JoinHandle<()>)>,
}

impl Coordinator {
    async fn start(dir: &Path, id: NodeId) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let identity = Identity { cluster: CLUSTER, node: id };
        let mut this = Self { dir: dir.join(id.to_string()), identity, address, running: None };
        this.run(listener).await;
        this
    }

    async fn run(&mut self, listener: TcpListener) {
        // Tasks of the connections of the one before hold on to its log for a moment; a process would be gone.
        let node = until("the log", async || match open(&self.dir, self.identity).await {
            Err(NodeError::Log(cullet_raft_log::Error::Locked { .. })) => None,
            opened => Some(opened.unwrap()),
        })
        .await;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = Server::builder().add_service(RaftServer::new(node.rpc())).serve_with_incoming(incoming);
        let server = tokio::spawn(async move { server.await.unwrap() });
        self.running = Some((node, server));
    }

    async fn restart(&mut self) {
        // The address is free once the server's task is gone.
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.run(listener).await;
    }

    async fn kill(&mut self) {
        let (node, server) = self.running.take().unwrap();
        server.abort();
        drop(server.await);
        node.shutdown().await;
    }

    fn node(&self) -> &Node {
        &self.running.as_ref().unwrap().0
    }

    fn member(&self) -> Member {
        Member { address: format!("http://{}", self.address) }
    }
}

async fn open(dir: &Path, identity: Identity) -> Result<Node, NodeError> {
    Node::open(dir, identity, TIMING, Dial::default(), watch::Sender::new(None)).await
}

/// Three of them that are one cluster.
async fn cluster(dir: &Path) -> Vec<Coordinator> {
    let mut all = Vec::new();
    for id in 1..=3 {
        all.push(Coordinator::start(dir, id).await);
    }
    let members: BTreeMap<NodeId, Member> =
        all.iter().map(|coordinator| (coordinator.identity.node, coordinator.member())).collect();
    all[0].node().bootstrap(members).await.unwrap();
    all
}

/// The position of the one that leads and can prove it.
async fn leader(all: &[Coordinator]) -> usize {
    until("a leader", async || {
        for (position, coordinator) in all.iter().enumerate() {
            let Some((node, _)) = &coordinator.running else { continue };
            if node.leads() && node.barrier().await.is_ok() {
                return Some(position);
            }
        }
        None
    })
    .await
}

fn submit(run: u128) -> Vec<LogCommand> {
    let spec = RunSpec { pipeline: "empty".into(), ..RunSpec::default() };
    vec![LogCommand::Submit { run: RunId(run), spec: spec.into(), at: 1 }]
}

async fn commit(all: &[Coordinator], run: u128) {
    until("a commit", async || all[leader(all).await].node().propose(submit(run)).await.ok()).await;
}

/// Waits until all that run have applied the same, and gives the hash of it.
async fn same_state(all: &[Coordinator]) -> [u8; 32] {
    until("the same state everywhere", async || {
        let running = || all.iter().filter_map(|coordinator| coordinator.running.as_ref());
        let hash = |node: &Node| {
            let applying = node.state().read();
            (applying.log_id.map(|id| id.index), applying.state.log_hash(), applying.state.state_hash())
        };
        let first = hash(&running().next()?.0);
        running().all(|(node, _)| hash(node) == first).then_some(first.2)
    })
    .await
}

fn runs(coordinator: &Coordinator) -> Vec<u128> {
    coordinator.node().state().read().state.runs().map(|(run, _)| run.0).collect()
}

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
