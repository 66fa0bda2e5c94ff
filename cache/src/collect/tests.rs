//! Collection over a store in memory whose clock is tokio's, so that days pass at once.

mod crash;
mod locks;
mod rounds;
mod simulation;
pub(crate) mod store;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction, Directory, DirectoryNode, FileNode, NodeName, TreeRef};
use tempfile::TempDir;

use self::store::{Store, Ticks};
use super::*;
use crate::{
    ActionCache as _, ActionResult, BlobStore as _, LogStream, MemoryStore, Objects, Output, OutputKind,
    PackedActions, PackedBlobs, Scope, Trees as _, conformance,
};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Short, so that a test need not wait long in its own time.
const POLICY: Policy = Policy { keep: Duration::from_secs(10 * 3600), max_bytes: None, grace: HOUR };

/// A machine that uses the store.
pub(crate) struct Machine {
    pub(crate) blobs: PackedBlobs,
    pub(crate) actions: PackedActions,
}

/// What steps give, and where it is before it is stored.
pub(crate) struct Source {
    blobs: MemoryStore,
    spool: TempDir,
}

pub(crate) fn random(seed: u64, len: usize) -> Bytes {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes.into()
}

pub(crate) fn action(number: u64) -> Digest {
    DigestFunction::Blake3.digest(format!("action {number}").as_bytes())
}

impl Source {
    pub(crate) fn new() -> Self {
        Self { blobs: MemoryStore::new(1 << 30), spool: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn put(&self, bytes: Bytes) -> Digest {
        let digest = DigestFunction::Blake3.digest(&bytes);
        self.blobs.put(&digest, bytes.into()).await.unwrap();
        digest
    }

    /// A result with a file, a log, and a directory with a directory in it with files of these seeds: one that lies alone, and
    /// the others in a pack. Results have a file in common if they have its seed.
    pub(crate) async fn result(&self, seeds: &[u64]) -> ActionResult {
        let mut nodes = Vec::new();
        for (index, seed) in seeds.iter().enumerate() {
            let len = if index == 0 { (1 << 20) + 10 } else { 40_000 };
            let digest = self.put(random(*seed, len)).await;
            let name = NodeName::new(format!("f{index}")).unwrap();
            nodes.push(FileNode { name, digest, executable: false });
        }
        let below = self.put(Directory::new(nodes, vec![], vec![]).unwrap().encode().into()).await;
        let below = DirectoryNode { name: NodeName::new("below").unwrap(), digest: below };
        let root = self.put(Directory::new(vec![], vec![below], vec![]).unwrap().encode().into()).await;
        let file = self.put(random(seeds.iter().sum(), 3000)).await;
        let log = self.put(random(1000 + seeds.len() as u64, 2000)).await;
        let trees = [TreeRef::Directory(root), TreeRef::File { digest: file, executable: false }];
        let output = |(index, tree)| Output { path: format!("out{index}"), kind: OutputKind::Tree(tree) };
        let outputs = trees.into_iter().enumerate().map(output).collect();
        ActionResult { outputs, stdout: LogStream::Blob(log), ..conformance::result("") }
    }

    /// A machine that only reads, or one that writes.
    pub(crate) fn machine(&self, objects: Arc<dyn Objects>) -> Machine {
        let blobs = PackedBlobs::new(objects, self.spool.path()).unwrap();
        Machine { actions: PackedActions::new(&blobs, &Scope::Protected), blobs }
    }

    pub(crate) fn reader(&self, store: &Arc<Store>) -> Machine {
        self.machine(store.clone())
    }

    pub(crate) fn writer(&self, store: &Arc<Store>) -> Machine {
        self.machine(Arc::new(Rescuing::with_clock(store.clone(), Arc::new(Ticks))))
    }

    /// Everything that a result names, and what is below.
    pub(crate) async fn below(&self, result: &ActionResult) -> Vec<Digest> {
        let mut waiting: Vec<Digest> = result.directories().collect();
        let mut all: Vec<Digest> = result.digests().collect();
        while let Some(directory) = waiting.pop() {
            let bytes = self.blobs.get(&directory).await.unwrap().into_bytes().unwrap();
            let directory = Directory::decode(DigestFunction::Blake3, &bytes).unwrap();
            all.extend(directory.files().iter().map(|file| file.digest));
            all.extend(directory.directories().iter().map(|child| child.digest));
            waiting.extend(directory.directories().iter().map(|child| child.digest));
        }
        all.reverse();
        all
    }

    /// Stores everything that a result names.
    pub(crate) async fn upload(&self, machine: &Machine, result: &ActionResult) -> Result<(), StoreError> {
        for root in result.directories() {
            machine.blobs.put_tree(&root, &self.blobs).await?;
        }
        let roots: Vec<Digest> = result.directories().collect();
        let rest: Vec<Digest> = result.digests().filter(|digest| !roots.contains(digest)).collect();
        for digest in machine.blobs.find_missing(&rest).await? {
            machine.blobs.put(&digest, self.blobs.get(&digest).await?).await?;
        }
        Ok(())
    }

    pub(crate) async fn publish(
        &self,
        machine: &Machine,
        number: u64,
        result: &ActionResult,
    ) -> Result<(), StoreError> {
        self.upload(machine, result).await?;
        machine.actions.put(&action(number), result).await
    }
}

impl Machine {
    /// The result, if there is one that is complete as those see it who look.
    pub(crate) async fn hit(&self, number: u64) -> Result<Option<ActionResult>, StoreError> {
        let Some(result) = self.actions.get(&action(number)).await? else { return Ok(None) };
        let mut wanted: Vec<Digest> = result.digests().collect();
        for root in result.directories() {
            if self.blobs.holds_tree(&root).await? != Some(true) {
                return Ok(None);
            }
            wanted.retain(|digest| *digest != root);
        }
        Ok(self.blobs.find_missing(&wanted).await?.is_empty().then_some(result))
    }

    /// Reads everything that a result names.
    pub(crate) async fn fetch(&self, result: &ActionResult) -> Result<(), StoreError> {
        for digest in result.digests() {
            self.blobs.get(&digest).await?;
        }
        for root in result.directories() {
            let tree = self.blobs.tree(&root).await?.ok_or(StoreError::NotFound { digest: root })?;
            for index in 0..tree.packs() {
                self.blobs.pack(&tree, index).await?;
            }
            for blob in tree.alone() {
                self.blobs.get(blob).await?;
            }
        }
        Ok(())
    }
}

pub(crate) async fn round(store: &Arc<Store>, policy: &Policy) -> Result<Report, StoreError> {
    collect_by(store.clone(), policy, Arc::new(Ticks)).await
}
