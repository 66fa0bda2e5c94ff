//! A disk, peers and a shared store.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use cullet_digest::{DigestFunction, Directory, DirectoryNode, FileNode, NodeName, TreeRef};
use futures_util::{StreamExt as _, stream};
use tempfile::TempDir;

use super::*;
use crate::{
    ActionResult, LogStream, MemoryStore, OpenOptions, Output, OutputKind, Pieces, SharedCache, conformance,
};

/// A peer that sends the same to everyone.
#[derive(Debug)]
enum Sends {
    These(Bytes),
    Nothing,
    /// Some bytes, and then a broken connection.
    Some(Bytes),
    /// An answer that never comes.
    Silence,
    /// The right bytes, one every tenth of a second.
    Trickle(Bytes),
}

#[derive(Debug)]
struct Peer {
    sends: Sends,
    asked: AtomicU32,
}

impl Peer {
    fn new(sends: Sends) -> Arc<Self> {
        Arc::new(Self { sends, asked: AtomicU32::new(0) })
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Origin for Peer {
    fn place(&self) -> &str {
        "peer"
    }

    async fn open(&self, digest: &Digest, _: u64) -> Result<Pieces, StoreError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        // So that those who ask at the same time do.
        tokio::time::sleep(Duration::from_millis(5)).await;
        match &self.sends {
            Sends::These(bytes) => Ok(stream::iter([Ok(bytes.clone())]).boxed()),
            Sends::Nothing => Err(StoreError::NotFound { digest: *digest }),
            Sends::Some(bytes) => {
                let broken = StoreError::remote("read from", "peer", "the connection broke");
                Ok(stream::iter([Ok(bytes.clone()), Err(broken)]).boxed())
            }
            Sends::Silence => Ok(stream::pending().boxed()),
            Sends::Trickle(bytes) => {
                let pause = || tokio::time::sleep(Duration::from_millis(100));
                let whole = bytes.clone();
                let bytes = stream::iter((0..bytes.len()).map(move |at| Ok(whole.slice(at..=at))));
                Ok(bytes
                    .then(move |byte| async move {
                        pause().await;
                        byte
                    })
                    .boxed())
            }
        }
    }
}

#[derive(Debug, Default)]
struct These(Mutex<Vec<Arc<Peer>>>);

impl Peers for These {
    fn holders(&self, _: &Digest) -> Vec<Arc<dyn Origin>> {
        self.0.lock().unwrap().iter().map(|peer| Arc::clone(peer) as Arc<dyn Origin>).collect()
    }
}

/// Tiers over a real disk and blobs in memory that stand for the shared store.
#[derive(Debug)]
struct World {
    tiers: Tiers,
    disk: Arc<DiskStore>,
    shared: Arc<MemoryStore>,
    _dir: TempDir,
}

fn world(peers: &[&Arc<Peer>]) -> World {
    // Long enough for a busy machine.
    patient_with(peers, Duration::from_secs(10))
}

fn patient_with(peers: &[&Arc<Peer>], peer_deadline: Duration) -> World {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(DiskStore::open(&OpenOptions::new(dir.path())).unwrap());
    let shared = Arc::new(MemoryStore::new(256 << 20));
    let peers = Arc::new(These(Mutex::new(peers.iter().map(|peer| Arc::clone(peer)).collect())));
    let options = TiersOptions { peer_deadline, ..TiersOptions::default() };
    let tiers = Tiers::new(disk.clone(), peers, shared.clone(), &options, Handle::current()).unwrap();
    World { tiers, disk, shared, _dir: dir }
}

#[async_trait]
impl BlobStore for World {
    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        self.tiers.find_missing(digests).await
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        self.tiers.get(digest).await
    }

    async fn put(&self, digest: &Digest, blob: Blob) -> Result<(), StoreError> {
        self.tiers.put(digest, blob).await
    }
}

fn blob(len: usize) -> (Digest, Bytes) {
    let bytes: Bytes = (0..len).map(|index| (index * 7 % 251) as u8).collect::<Vec<u8>>().into();
    (DigestFunction::Blake3.digest(&bytes), bytes)
}

const SIZES: [usize; 3] = [10, 300_000, 3 << 20];

#[tokio::test]
async fn conforms() {
    conformance::blob_store(|| world(&[])).await;
}

#[tokio::test]
async fn a_blob_comes_once_for_all_who_want_it_and_stays() {
    for len in SIZES {
        let (digest, bytes) = blob(len);
        let peer = Peer::new(Sends::These(bytes.clone()));
        let world = world(&[&peer]);
        let fetches = (0..20).map(|_| world.tiers.fetch(&digest));
        for fetched in futures_util::future::join_all(fetches).await {
            fetched.unwrap();
        }
        assert_eq!(peer.asked(), 1);
        assert!(world.disk.has(&digest).unwrap());
        assert_eq!(world.tiers.get(&digest).await.unwrap().into_bytes().unwrap(), bytes);
        assert_eq!(peer.asked(), 1);
        assert_eq!(world.disk.verify(false, &mut |_| {}).unwrap().damaged, []);
    }
}

#[tokio::test]
async fn the_shared_store_has_what_peers_do_not_send() {
    for len in SIZES {
        let (digest, bytes) = blob(len);
        let wrong = Peer::new(Sends::These(vec![1; len].into()));
        let longer = Peer::new(Sends::These(vec![1; len + 1].into()));
        let broken = Peer::new(Sends::Some(bytes.slice(..len / 2)));
        let [nothing, silent] = [Sends::Nothing, Sends::Silence].map(Peer::new);
        let trickle = Peer::new(Sends::Trickle(bytes.clone()));
        for bad in [&wrong, &longer, &broken, &nothing, &silent, &trickle] {
            let world = patient_with(&[bad], Duration::from_millis(200));
            world.shared.put(&digest, bytes.clone().into()).await.unwrap();
            world.tiers.fetch(&digest).await.unwrap();
            assert_eq!(bad.asked(), 1);
            assert_eq!(world.tiers.get(&digest).await.unwrap().into_bytes().unwrap(), bytes);
            assert_eq!(world.disk.verify(false, &mut |_| {}).unwrap().damaged, []);
        }
        // A good one among them is found, and only so many are asked.
        let good = Peer::new(Sends::These(bytes.clone()));
        world(&[&wrong, &nothing, &silent, &good]).tiers.fetch(&digest).await.unwrap();
        assert_eq!(good.asked(), 1);
        let lost = world(&[&nothing, &nothing, &nothing, &nothing, &good]).tiers.fetch(&digest).await;
        assert!(matches!(lost, Err(StoreError::NotFound { .. })), "{lost:?}");
    }
}

#[tokio::test]
async fn a_blob_that_is_damaged_everywhere_is_dropped_from_the_shared_store() {
    let world = world(&[]);
    let (digest, bytes) = blob(300_000);
    world.shared.damage(&digest, Bytes::from_static(b"wrong"));
    assert!(matches!(world.tiers.fetch(&digest).await, Err(StoreError::Mismatch { .. })));
    assert!(matches!(world.tiers.fetch(&digest).await, Err(StoreError::NotFound { .. })));
    world.shared.put(&digest, bytes.into()).await.unwrap();
    world.tiers.fetch(&digest).await.unwrap();
}

#[tokio::test]
async fn those_who_block_fetch_as_well() {
    let (digest, bytes) = blob(300_000);
    let world = world(&[]);
    world.shared.put(&digest, bytes.into()).await.unwrap();
    let tiers = world.tiers.clone();
    tokio::task::spawn_blocking(move || tiers.fetch_local(&digest)).await.unwrap().unwrap();
    assert!(world.disk.has(&digest).unwrap());
}

/// A shared store that cannot be reached.
#[tokio::test]
async fn an_unreachable_shared_store_is_an_error_for_fetches_and_a_miss_for_questions() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let options = crate::GrpcOptions { retries: 0, ..crate::GrpcOptions::new(dir.path().join("spool")) };
    let shared = Arc::new(crate::GrpcStore::connect(&[format!("http://{nowhere}")], &options).unwrap());
    let disk = Arc::new(DiskStore::open(&OpenOptions::new(dir.path().join("cache"))).unwrap());
    let patience = TiersOptions { retries: 0, ..TiersOptions::default() };
    let tiers = Tiers::new(disk, Arc::new(NoPeers), shared, &patience, Handle::current()).unwrap();
    let ((here, bytes), (elsewhere, _)) = (blob(10), blob(20));
    tiers.put(&here, bytes.into()).await.unwrap();
    assert_eq!(tiers.find_missing(&[elsewhere, here]).await.unwrap(), [elsewhere]);
    assert!(tiers.get(&here).await.is_ok());
    assert!(matches!(tiers.fetch(&elsewhere).await, Err(StoreError::Remote { .. })));
}

#[tokio::test]
async fn an_upload_brings_the_closure_of_a_result_and_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(DiskStore::open(&OpenOptions::new(dir.path().join("cache"))).unwrap());
    let location = dir.path().join("shared").display().to_string();
    let shared = SharedCache::open(&location, &crate::ObjectOptions::new(dir.path().join("spool"))).unwrap();
    let options = TiersOptions::default();
    let tiers =
        Tiers::new(disk, Arc::new(NoPeers), shared.objects.clone(), &options, Handle::current()).unwrap();
    let put = async |bytes: Vec<u8>| {
        let digest = DigestFunction::Blake3.digest(&bytes);
        tiers.put(&digest, bytes.into()).await.unwrap();
        digest
    };
    let name = |text: String| NodeName::new(text).unwrap();
    let log = put(b"log".to_vec()).await;
    let file = put(vec![9; 1 << 20]).await;
    let mut nodes = Vec::new();
    for number in 0..1500 {
        let digest = put(format!("file {number}").into_bytes()).await;
        nodes.push(FileNode { name: name(format!("{number:04}")), digest, executable: false });
    }
    let inner = put(Directory::new(nodes, vec![], vec![]).unwrap().encode().to_vec()).await;
    let node = DirectoryNode { name: name("d".to_owned()), digest: inner };
    let root = put(Directory::new(vec![], vec![node], vec![]).unwrap().encode().to_vec()).await;
    let output = |path: &str, tree| Output { path: path.to_owned(), kind: OutputKind::Tree(tree) };
    let result = ActionResult {
        outputs: vec![
            output("dir", TreeRef::Directory(root)),
            output("file", TreeRef::File { digest: file, executable: true }),
        ],
        stdout: LogStream::Blob(log),
        ..conformance::result("")
    };
    let uploaded = tiers.upload(&result).await.unwrap();
    assert_eq!(uploaded.blobs, 1504);
    assert_eq!(tiers.upload(&result).await.unwrap(), Moved::default());
    let action = DigestFunction::Blake3.digest(b"action");
    shared.actions.put(&action, &result).await.unwrap();
    assert!(shared.actions.get(&action).await.unwrap().is_some(), "it is complete there");

    let other = Arc::new(DiskStore::open(&OpenOptions::new(dir.path().join("other"))).unwrap());
    let elsewhere =
        Tiers::new(other.clone(), Arc::new(NoPeers), shared.objects.clone(), &options, Handle::current());
    let elsewhere = elsewhere.unwrap();
    let fetched = tokio::task::spawn_blocking(move || elsewhere.fetch_tree_local(&root)).await.unwrap();
    fetched.unwrap();
    assert_eq!(
        other.stats().unwrap().blobs,
        1502,
        "the files and two directories, not the rest of the result"
    );

    let lost = ActionResult { stdout: LogStream::Blob(blob(77).0), ..result };
    assert!(matches!(tiers.upload(&lost).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn who_is_said_to_have_a_tree_is_asked_for_all_of_it() {
    let (digest, bytes) = blob(10);
    let (holder, other) = (Peer::new(Sends::These(bytes.clone())), Peer::new(Sends::Nothing));
    let world = world(&[&other]);
    let tree = TreeRef::File { digest, executable: false };
    world.tiers.fetch_tree_from(&tree, vec![holder.clone()]).await.unwrap();
    assert_eq!(holder.asked(), 1);
    assert!(world.disk.has(&digest).unwrap());

    let (lost, _) = blob(20);
    let node = FileNode { name: NodeName::new("f").unwrap(), digest: lost, executable: false };
    let root = Directory::new(vec![node], vec![], vec![]).unwrap().encode().to_vec();
    let (root, bytes) = (DigestFunction::Blake3.digest(&root), root);
    world.shared.put(&root, bytes.into()).await.unwrap();
    let nothing = Peer::new(Sends::Nothing);
    let fetched = world.tiers.fetch_tree_from(&TreeRef::Directory(root), vec![nothing.clone()]).await;
    assert!(matches!(fetched, Err(StoreError::NotFound { digest }) if digest == lost), "{fetched:?}");
    // For the directory and for the file in it.
    assert_eq!(nothing.asked(), 2);
}
