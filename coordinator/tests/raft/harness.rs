//! Coordinators that can be killed and started again, and what is asked of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cullet_coordinator::raft::{Batch, MAX_MESSAGE, Member, Node, NodeError, NodeId};
use cullet_core::spec::RunSpec;
use cullet_core::{LogCommand, RunId};
use cullet_proto::Dial;
use cullet_proto::raft::raft_server::RaftServer;
use cullet_raft_log::{ClusterId, Identity};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::support::{TIMING, until};

pub(crate) const CLUSTER: ClusterId = ClusterId([7; 16]);

/// A coordinator that can be killed and started again at its address.
pub(crate) struct Coordinator {
    pub(crate) dir: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) address: SocketAddr,
    pub(crate) running: Option<(Node, JoinHandle<()>)>,
}

impl Coordinator {
    pub(crate) async fn start(dir: &Path, id: NodeId) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let identity = Identity { cluster: CLUSTER, node: id };
        let mut this = Self { dir: dir.join(id.to_string()), identity, address, running: None };
        this.run(listener).await;
        this
    }

    pub(crate) async fn run(&mut self, listener: TcpListener) {
        // Tasks of the connections of the one before hold on to its log for a moment; a process would be gone.
        let node = until("the log", async || match open(&self.dir, self.identity).await {
            Err(NodeError::Log(cullet_raft_log::Error::Locked { .. })) => None,
            opened => Some(opened.unwrap()),
        })
        .await;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let service = RaftServer::new(node.rpc()).max_decoding_message_size(MAX_MESSAGE);
        let server = Server::builder().add_service(service).serve_with_incoming(incoming);
        let server = tokio::spawn(async move { server.await.unwrap() });
        self.running = Some((node, server));
    }

    pub(crate) async fn restart(&mut self) {
        // The address is free once the server's task is gone.
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        self.run(listener).await;
    }

    pub(crate) async fn kill(&mut self) {
        let (node, server) = self.running.take().unwrap();
        server.abort();
        drop(server.await);
        node.shutdown().await;
    }

    pub(crate) fn node(&self) -> &Node {
        &self.running.as_ref().unwrap().0
    }

    pub(crate) fn member(&self) -> Member {
        Member { address: format!("http://{}", self.address) }
    }
}

pub(crate) async fn open(dir: &Path, identity: Identity) -> Result<Node, NodeError> {
    Node::open(dir, identity, TIMING, Dial::default(), watch::Sender::new(None)).await
}

/// Three of them that are one cluster.
pub(crate) async fn cluster(dir: &Path) -> Vec<Coordinator> {
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
pub(crate) async fn leader(all: &[Coordinator]) -> usize {
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

pub(crate) fn submit(run: u128) -> Batch {
    let spec = RunSpec { pipeline: "empty".into(), ..RunSpec::default() };
    Batch::of(&LogCommand::Submit { run: RunId(run), spec: spec.into(), at: 1 }).unwrap()
}

pub(crate) async fn commit(all: &[Coordinator], run: u128) {
    until("a commit", async || all[leader(all).await].node().propose(submit(run)).await.ok()).await;
}

/// Waits until all that run have applied the same, and gives the hash of it.
pub(crate) async fn same_state(all: &[Coordinator]) -> [u8; 32] {
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

pub(crate) fn runs(coordinator: &Coordinator) -> Vec<u128> {
    coordinator.node().state().read().state.runs().map(|(run, _)| run.0).collect()
}
