//! Inputs from other workers.

use std::sync::Arc;

use cullet_cache::disk::{DiskStore, OpenOptions};
use cullet_cache::{BlobStore as _, StorageLimits, StorageServices};
use cullet_digest::{Digest, Directory, FileNode, NodeName};
use cullet_proto::v1::attempt_finished::Outcome;
use cullet_proto::v1::{self, StartInput, Tree, tree};
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::fixture::{FUNCTION, Fixture, OWN, start_in};
use crate::peer::Peer;

/// Another worker that has a file and the directory around it. Nobody else has them.
async fn neighbour(dir: &std::path::Path) -> (String, Digest) {
    let disk = Arc::new(DiskStore::open(&OpenOptions::new(dir)).unwrap());
    let put = async |bytes: Vec<u8>| {
        let digest = FUNCTION.digest(&bytes);
        disk.put(&digest, bytes.into()).await.unwrap();
        digest
    };
    let digest = put(b"hello\n".to_vec()).await;
    let file = FileNode { name: NodeName::new("hello").unwrap(), digest, executable: false };
    let root = put(Directory::new(vec![file], vec![], vec![]).unwrap().encode().to_vec()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let services = StorageServices::read_only(disk, StorageLimits::default());
    let server = Server::builder().add_service(services.storage()).add_service(services.byte_stream());
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    (address, root)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_input_comes_from_the_worker_that_has_it() {
    let other = tempfile::tempdir().unwrap();
    let (address, root) = neighbour(other.path()).await;
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    let mut call = peer.welcome().await;
    let digest = v1::Digest { hash: root.hash_hex(), size_bytes: root.size() as i64 };
    let wire = Tree { kind: tree::Kind::Directory.into(), digest: Some(digest) };
    let input = |holders: &[&str]| StartInput {
        path: String::new(),
        tree: Some(wire.clone()),
        holders: holders.iter().map(|&holder| holder.to_owned()).collect(),
    };
    let begin = |step, holders: &[&str]| {
        let mut start = start_in(root, step, 1, "cat hello", &[]);
        start.inputs = vec![input(holders)];
        start
    };
    // Nobody, itself, no address, and only past those who are asked: it is nowhere else.
    for (step, holders) in
        [(0, &[][..]), (1, &[OWN]), (2, &["nowhere"]), (3, &[OWN, OWN, OWN, OWN, &address])]
    {
        call.start(&begin(step, holders)).await;
        let finished = call.finished().await;
        assert!(matches!(finished.outcome, Some(Outcome::InputLost(_))), "{finished:?}");
    }
    // Behind one that nobody listens for.
    let gone = "http://127.0.0.1:9";
    call.start(&begin(4, &[gone, &address])).await;
    let finished = call.finished().await;
    assert!(matches!(finished.outcome, Some(Outcome::Succeeded(_))), "{finished:?}");
    drop(fixture);
}
