//! Coordinators that know nothing but each other's addresses, on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cullet_coordinator::cluster::{FormError, Formation, Seat, connect, control_service, raft_service};
use cullet_proto::v1::cluster_client::ClusterClient;
use cullet_proto::{Dial, v1};
use cullet_raft_log::{Config, Log, RealDisk};
use support::{TIMING, until};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

struct Coordinator {
    seat: Arc<Seat>,
    address: SocketAddr,
    dir: PathBuf,
    server: JoinHandle<()>,
    formed: JoinHandle<Result<(), FormError>>,
}

impl Coordinator {
    fn start(listener: TcpListener, id: u64, dir: PathBuf, peers: Vec<String>, expect: usize) -> Self {
        let address = listener.local_addr().unwrap();
        let seat = Arc::new(Seat::new(id, url(address)));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = Server::builder()
            .add_service(raft_service(Arc::clone(&seat)))
            .add_service(control_service(Arc::clone(&seat)))
            .serve_with_incoming(incoming);
        let mut seats = seat.watch();
        let server = tokio::spawn(async move {
            // The engine's part, which these do without.
            let contact = async {
                let node = seats.wait_for(Option::is_some).await.unwrap().clone().unwrap();
                node.keep_contact().await;
            };
            tokio::select! {
                served = server => served.unwrap(),
                () = contact => {}
            }
        });
        let formation = Formation { dir: dir.clone(), peers, expect, timing: TIMING };
        let taken = Arc::clone(&seat);
        let formed = tokio::spawn(async move { formation.form(&taken, watch::Sender::new(None)).await });
        Self { seat, address, dir, server, formed }
    }

    async fn kill(self) {
        self.formed.abort();
        self.server.abort();
        drop(self.server.await);
        let Some(node) = self.seat.node() else { return };
        let identity = node.identity();
        node.shutdown().await;
        drop((node, self.seat));
        // A process would be gone by now; here tasks of its connections hold on to the log for a moment.
        until("the log is closed", async || {
            let opened =
                Log::open(Arc::new(RealDisk), &self.dir, identity, Config::default(), Box::new(|_| ()));
            (!matches!(opened, Err(cullet_raft_log::Error::Locked { .. }))).then_some(())
        })
        .await;
    }

    async fn status(&self) -> v1::StatusResponse {
        let mut client = ClusterClient::new(
            connect(&Dial::default(), &url(self.address), Duration::from_secs(5)).unwrap(),
        );
        client.status(v1::StatusRequest {}).await.unwrap().into_inner()
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

async fn bind(address: SocketAddr) -> TcpListener {
    until("the address", async || TcpListener::bind(address).await.ok()).await
}

async fn listeners(count: usize) -> (Vec<TcpListener>, Vec<String>) {
    let mut listeners = Vec::new();
    for _ in 0..count {
        listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let peers = listeners.iter().map(|listener| url(listener.local_addr().unwrap())).collect();
    (listeners, peers)
}

async fn three(dir: &Path) -> (Vec<Coordinator>, Vec<String>) {
    let (listeners, peers) = listeners(3).await;
    let start =
        |(id, listener)| Coordinator::start(listener, id, dir.join(format!("{id}/raft")), peers.clone(), 3);
    let all: Vec<_> = (11..).zip(listeners).map(start).collect();
    ready(&all).await;
    (all, peers)
}

/// Waits until each can take part, and gives what they agree on.
async fn ready(all: &[Coordinator]) -> v1::StatusResponse {
    until("all can take part", async || {
        let mut first: Option<v1::StatusResponse> = None;
        for coordinator in all {
            let status = coordinator.status().await;
            let known = first.get_or_insert(status.clone());
            if !status.ready || (status.leader, &status.cluster_id) != (known.leader, &known.cluster_id) {
                return None;
            }
        }
        first
    })
    .await
}

fn voters(status: &v1::StatusResponse) -> Vec<u64> {
    let mut ids: Vec<u64> =
        status.members.iter().filter(|member| member.voter).map(|member| member.id).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_that_find_each_other_are_one_cluster() {
    let dir = TempDir::new().unwrap();
    let (all, _) = three(dir.path()).await;
    let status = ready(&all).await;
    assert_eq!(voters(&status), [11, 12, 13]);
    for coordinator in all {
        coordinator.formed.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_three_wait() {
    let dir = TempDir::new().unwrap();
    let (listeners, peers) = listeners(3).await;
    let mut listeners = listeners.into_iter();
    let start = |id, listener| {
        Coordinator::start(listener, id, dir.path().join(format!("{id}/raft")), peers.clone(), 3)
    };
    let mut all = vec![start(21, listeners.next().unwrap()), start(22, listeners.next().unwrap())];
    tokio::time::sleep(Duration::from_secs(1)).await;
    for coordinator in &all {
        let status = coordinator.status().await;
        assert!(!status.ready && status.cluster_id.is_empty(), "{status:?}");
        assert_eq!(status.reason, "it has not found its cluster yet");
    }
    all.push(start(23, listeners.next().unwrap()));
    assert_eq!(voters(&ready(&all).await), [21, 22, 23]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_comes_later_joins_and_one_that_lost_its_disk_is_replaced() {
    let dir = TempDir::new().unwrap();
    let (mut all, mut peers) = three(dir.path()).await;
    let (more, addresses) = listeners(1).await;
    peers.extend(addresses);
    let listener = more.into_iter().next().unwrap();
    // It is told of two members only.
    all.push(Coordinator::start(listener, 14, dir.path().join("14/raft"), peers[1..3].to_vec(), 3));
    until("four voters", async || (voters(&ready(&all).await) == [11, 12, 13, 14]).then_some(())).await;
    let lost = all.remove(0);
    let address = lost.address;
    lost.kill().await;
    std::fs::remove_dir_all(dir.path().join("11")).unwrap();
    let listener = bind(address).await;
    all.push(Coordinator::start(listener, 5, dir.path().join("11/raft"), peers.clone(), 3));
    until("it has replaced itself", async || (voters(&ready(&all).await) == [5, 12, 13, 14]).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_removed_knows_it_and_stays_removed() {
    let dir = TempDir::new().unwrap();
    let (mut all, peers) = three(dir.path()).await;
    let gone = all.remove(1);
    let address = gone.address;
    let mut client =
        ClusterClient::new(connect(&Dial::default(), &peers[0], Duration::from_secs(5)).unwrap());
    client.remove_member(v1::RemoveMemberRequest { id: 12 }).await.unwrap();
    let removed_at = Instant::now();
    let is_told = async |coordinator: &Coordinator| {
        until("it knows", async || coordinator.status().await.reason.contains("was removed").then_some(()))
            .await;
    };
    is_told(&gone).await;
    assert!(removed_at.elapsed() < Duration::from_secs(3), "{:?}", removed_at.elapsed());
    // Started again it is told, whether it takes itself for a member or not.
    gone.kill().await;
    let again = Coordinator::start(bind(address).await, 99, dir.path().join("12/raft"), peers.clone(), 3);
    is_told(&again).await;
    assert_eq!(again.seat.id(), 12);
    assert_eq!(voters(&ready(&all).await), [11, 13]);
    // Nobody else can take it in either.
    let request = v1::AddMemberRequest { id: 12, address: peers[1].clone(), learner: false };
    let refused = client.add_member(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
    // With another directory it is another one.
    again.kill().await;
    all.push(Coordinator::start(bind(address).await, 15, dir.path().join("15/raft"), peers, 3));
    until("it is a member", async || (voters(&ready(&all).await) == [11, 13, 15]).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_is_put_aside_and_its_owner_joins_anew() {
    let dir = TempDir::new().unwrap();
    let (mut all, peers) = three(dir.path()).await;
    let hurt = all.remove(0);
    let address = hurt.address;
    hurt.kill().await;
    let log = dir.path().join("11/raft");
    flip_a_bit(&log);
    let listener = bind(address).await;
    all.push(Coordinator::start(listener, 6, log.clone(), peers, 3));
    until("it is another member", async || (voters(&ready(&all).await) == [6, 12, 13]).then_some(())).await;
    assert!(log.with_file_name("raft.damaged").join("identity").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_a_damaged_log_is_an_error_that_says_what_to_do() {
    let dir = TempDir::new().unwrap();
    let log = dir.path().join("raft");
    let (listeners, _) = listeners(1).await;
    let one = Coordinator::start(listeners.into_iter().next().unwrap(), 1, log.clone(), Vec::new(), 1);
    let (address, all) = (one.address, [one]);
    ready(&all).await;
    let [one] = all;
    one.kill().await;
    flip_a_bit(&log);
    let again = Coordinator::start(bind(address).await, 2, log, Vec::new(), 1);
    let refused = until("an answer", async || again.formed.is_finished().then_some(())).await;
    let () = refused;
    let error = again.formed.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("restore"), "{error}");
}

/// In the first record of the first segment: acknowledged long ago, so no torn tail.
fn flip_a_bit(log: &Path) {
    let segments = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    let segment = segments.filter(|path| path.extension().is_some_and(|name| name == "seg")).min().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[100] ^= 4;
    std::fs::write(&segment, bytes).unwrap();
}
