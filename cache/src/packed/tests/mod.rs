//! Packed blobs over storage in memory that counts what is asked of it, and loses and damages things.

mod blobs;
pub(crate) mod storage;
mod trees;

use std::sync::Arc;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction, Directory, DirectoryNode, FileNode, NodeName};

use self::storage::Storage;
use super::{PackedActions, PackedBlobs};
use crate::testing::Kept;
use crate::{BlobStore, MemoryStore, conformance};

const FUNCTION: DigestFunction = DigestFunction::Blake3;

/// A store over this storage that has seen nothing yet.
fn open(storage: &Arc<Storage>) -> Kept<PackedBlobs> {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    Kept(PackedBlobs::new(storage.clone(), dir.path()).unwrap(), dir)
}

/// Bytes that are like no others.
fn random(seed: u64, len: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    random.fill(&mut bytes);
    bytes.into()
}

/// A tree of `dirs` directories in one, each with these files, and everything that is in it, in a store.
async fn tree(dirs: &[(&str, Vec<Bytes>)]) -> (Digest, Arc<MemoryStore>, Vec<Digest>) {
    let store = Arc::new(MemoryStore::new(1 << 30));
    let mut all = Vec::new();
    let mut children = Vec::new();
    let name = |text: &str| NodeName::new(text).unwrap();
    for (dir, files) in dirs {
        let mut nodes = Vec::new();
        for (number, bytes) in files.iter().enumerate() {
            let digest = put(&store, bytes.clone()).await;
            all.push(digest);
            nodes.push(FileNode { name: name(&format!("f{number}")), digest, executable: false });
        }
        let digest = put(&store, Directory::new(nodes, vec![], vec![]).unwrap().encode().into()).await;
        all.push(digest);
        children.push(DirectoryNode { name: name(dir), digest });
    }
    let root = put(&store, Directory::new(vec![], children, vec![]).unwrap().encode().into()).await;
    all.push(root);
    (root, store, all)
}

async fn put(store: &MemoryStore, bytes: Bytes) -> Digest {
    let digest = FUNCTION.digest(&bytes);
    store.put(&digest, bytes.into()).await.unwrap();
    digest
}

#[tokio::test]
async fn conforms() {
    conformance::objects(|| Storage::new()).await;
    conformance::blob_store(|| open(&Storage::new())).await;
    let actions = || {
        let Kept(blobs, dir) = open(&Storage::new());
        Kept(PackedActions::new(&blobs, &crate::Scope::Protected), dir)
    };
    conformance::action_cache(actions).await;
}
