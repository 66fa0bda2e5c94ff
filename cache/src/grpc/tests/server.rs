//! Servers for tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::BlobStore;
use crate::grpc::{GrpcOptions, GrpcStore, StorageLimits, StorageServices};

/// A running server; dropped, it dies with all its connections.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    pub(crate) fn start(store: Arc<dyn BlobStore>, dir: &TempDir) -> Self {
        let spool = dir.path().join("server");
        Self::run(StorageServices::read_write(store, &spool, StorageLimits::default()).unwrap())
    }

    pub(crate) fn run(services: StorageServices) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = Server::builder()
            .add_service(services.storage())
            .add_service(services.byte_stream())
            .serve_with_incoming(incoming);
        let task = tokio::spawn(async move { server.await.unwrap() });
        Self { address, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn client(&self, dir: &TempDir) -> GrpcStore {
        GrpcStore::connect(&[self.url()], &options(dir)).unwrap()
    }
}

/// Long enough for a busy machine.
pub(crate) fn options(dir: &TempDir) -> GrpcOptions {
    GrpcOptions { deadline: Duration::from_secs(10), ..GrpcOptions::new(dir.path().join("client")) }
}

/// Passes connections on to a server and cuts the first ones after so many bytes in either direction, one number each.
#[derive(Debug)]
pub(crate) struct Cutting {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Cutting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cutting {
    pub(crate) async fn start(to: SocketAddr, cuts: &'static [u64]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut cuts = cuts.iter();
            while let Ok((client, _)) = listener.accept().await {
                let left = cuts.next().copied().unwrap_or(u64::MAX);
                tokio::spawn(pass(client, to, left));
            }
        });
        Self { address, task }
    }
}

async fn pass(client: TcpStream, to: SocketAddr, left: u64) {
    let Ok(server) = TcpStream::connect(to).await else { return };
    let _ = (server.set_nodelay(true), client.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let left = Arc::new(AtomicI64::new(i64::try_from(left).unwrap_or(i64::MAX)));
    // Whichever direction ends first, both connections are dropped.
    tokio::select! {
        () = copy(from_client, to_server, &left) => {}
        () = copy(from_server, to_client, &left) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, left: &AtomicI64) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let before = left.fetch_sub(read as i64, Ordering::Relaxed);
        if before <= read as i64 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
