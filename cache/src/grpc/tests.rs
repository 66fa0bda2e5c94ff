//! Real servers on loopback, and servers that fail.

mod assets;
mod faults;
mod limits;
mod reapi;
mod results;
mod server;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction};
use tempfile::TempDir;
use tokio::runtime::Handle;

use self::server::Served;
use super::*;
use crate::{
    Blob, BlobStore, DiskStore, MemoryStore, OpenOptions, Origin, Peers, StoreError, Tiers, TiersOptions,
    Verifying, conformance,
};

/// A client with its server and directory.
#[derive(Debug)]
struct Client {
    store: GrpcStore,
    _server: Served,
    _dir: TempDir,
}

#[async_trait]
impl BlobStore for Client {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        self.store.find_missing(digests).await
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        self.store.get(digest).await
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.store.put(digest, blob).await
    }
}

fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(256 << 20))
}

fn blob(len: usize) -> (Digest, Bytes) {
    let bytes: Bytes = (0..len).map(|index| (index * 7 % 251) as u8).collect::<Vec<u8>>().into();
    (DigestFunction::Blake3.digest(&bytes), bytes)
}

/// A blob in a file, as stores hand out large ones.
fn as_file(dir: &TempDir, bytes: &[u8]) -> Blob {
    let path = dir.path().join("source");
    std::fs::write(&path, bytes).unwrap();
    Blob::File { file: std::fs::File::open(&path).unwrap(), path, len: bytes.len() as u64 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_over_any_store_is_a_blob_store() {
    conformance::blob_store(|| {
        let dir = tempfile::tempdir().unwrap();
        let inner = memory();
        let server = Served::start(Arc::new(Verifying::new(inner.clone(), inner)), &dir);
        Client { store: server.client(&dir), _server: server, _dir: dir }
    })
    .await;
}

#[tokio::test]
async fn large_blobs_travel_as_streams() {
    let dir = tempfile::tempdir().unwrap();
    let server = Served::start(memory(), &dir);
    let client = server.client(&dir);
    for len in [MESSAGE, 3 * MESSAGE + 1] {
        let (digest, bytes) = blob(len);
        client.put(&digest, as_file(&dir, &bytes)).await.unwrap();
        client.put(&digest, bytes.clone().into()).await.unwrap();
        let (one, two) = tokio::join!(client.get(&digest), client.get(&digest));
        assert_eq!(one.unwrap().into_bytes().unwrap(), bytes);
        assert_eq!(two.unwrap().into_bytes().unwrap(), bytes, "each from the start");
        let mut wrong = bytes.to_vec();
        wrong[MESSAGE / 2] ^= 1;
        let refused = client.put(&digest, as_file(&dir, &wrong)).await;
        assert!(matches!(refused, Err(StoreError::Mismatch { .. })));
    }
}

#[tokio::test]
async fn an_upload_sends_what_is_missing_in_batches() {
    let dir = tempfile::tempdir().unwrap();
    let (local, remote) = (memory(), memory());
    let server = Served::start(remote.clone(), &dir);
    let client = server.client(&dir);
    let mut digests = Vec::new();
    for len in (1..3000).chain([300_000, MESSAGE + 1]) {
        let (digest, bytes) = blob(len);
        local.put(&digest, bytes.clone().into()).await.unwrap();
        if len % 2 == 0 {
            remote.put(&digest, bytes.into()).await.unwrap();
        }
        digests.push(digest);
    }
    let uploaded = client.upload(&*local, &digests).await.unwrap();
    assert_eq!(uploaded.blobs, 1501);
    assert_eq!(remote.find_missing(&digests).await.unwrap(), []);
    assert_eq!(client.upload(&*local, &digests).await.unwrap().blobs, 0);
    let (nowhere, _) = blob(5000);
    let lost = client.upload(&*local, &[digests[0], nowhere]).await;
    assert!(matches!(lost, Err(StoreError::NotFound { digest }) if digest == nowhere));
    let batch = vec![blob(10), (digests[3], Bytes::from_static(b"wrong"))];
    assert!(matches!(client.put_batch(batch).await, Err(StoreError::Mismatch { .. })));
}

/// One machine that has blobs.
#[derive(Debug)]
struct One(GrpcStore);

impl Peers for One {
    fn holders(&self, _: &Digest) -> Vec<Arc<dyn Origin>> {
        vec![Arc::new(self.0.clone())]
    }
}

#[tokio::test]
async fn a_machine_fetches_from_the_disk_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let disk = |name: &str| Arc::new(DiskStore::open(&OpenOptions::new(dir.path().join(name))).unwrap());
    let (theirs, ours) = (disk("theirs"), disk("ours"));
    let checked = Arc::new(Verifying::new(theirs.clone(), theirs.clone()));
    let server = Served::run(StorageServices::read_only(checked, StorageLimits::default()));
    let patient = GrpcOptions { deadline: Duration::from_secs(10), ..GrpcOptions::peer(dir.path()) };
    let peer = One(GrpcStore::connect(&[server.url()], &patient).unwrap());
    let options = TiersOptions { peer_deadline: Duration::from_secs(10), ..TiersOptions::default() };
    let shared = memory();
    let tiers =
        Tiers::new(ours.clone(), Arc::new(peer), shared.clone(), &options, Handle::current()).unwrap();
    for len in [10, 300_000, 9 << 20] {
        let (digest, bytes) = blob(len);
        theirs.put(&digest, bytes.into()).await.unwrap();
        tiers.fetch(&digest).await.unwrap();
        assert!(ours.has(&digest).unwrap());
    }
    // What it has under the name is not the blob any more: noticed there, and the shared store has it.
    let (digest, bytes) = blob(400_000);
    theirs.put(&digest, bytes.clone().into()).await.unwrap();
    let Blob::File { path, .. } = theirs.get(&digest).await.unwrap() else { panic!("expected a file") };
    std::fs::write(path, vec![0; 400_000]).unwrap();
    assert!(matches!(tiers.fetch(&digest).await, Err(StoreError::NotFound { .. })));
    shared.put(&digest, bytes.into()).await.unwrap();
    tiers.fetch(&digest).await.unwrap();
    assert_eq!(ours.verify(false, &mut |_| {}).unwrap().damaged, []);
}
