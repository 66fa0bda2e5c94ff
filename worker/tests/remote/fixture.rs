//! A worker with a cache and the plain executor, so that steps can touch files of the test.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cullet_cache::disk::{DiskActionCache, DiskStore, OpenOptions};
use cullet_cache::object::ObjectOptions;
use cullet_cache::{
    Action, ActionResult, BlobStore, NoPeers, OutputPath, SharedCache, SigningKey, Tiers, TiersOptions,
};
use cullet_digest::{Digest, DigestFunction, TreeRef};
use cullet_proto::Dial;
use cullet_proto::v1::{self, Attempt, Start};
use cullet_worker::plain::PlainExecutor;
use cullet_worker::remote::{
    Daemon, DaemonConfig, DaemonParts, Drained, Exchange, Limits, Neighbours, TieredFiles,
};
use cullet_worker::{InUse, NoSourceFiles, Room, Stores, Worker, WorkerConfig};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support;

pub(crate) const FUNCTION: DigestFunction = DigestFunction::Blake3;
/// The worker's address; nobody asks there.
pub(crate) const OWN: &str = "http://127.0.0.1:1";
pub(crate) const RUN: &str = "000102030405060708090a0b0c0d0e0f";

/// The way to a shared directory. Fails as often as a test says.
#[derive(Debug)]
pub(crate) struct Shared {
    neighbours: Neighbours,
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) failures: AtomicUsize,
    pub(crate) tries: AtomicUsize,
}

#[async_trait]
impl Exchange for Shared {
    async fn prefetch(&self, input_root: &Digest) {
        self.neighbours.prefetch(input_root).await;
    }

    async fn prefetch_from(&self, tree: &TreeRef, holders: &[String]) {
        self.neighbours.prefetch_from(tree, holders).await;
    }

    async fn publish(&self, result: &ActionResult) -> Result<(), String> {
        self.tries.fetch_add(1, Ordering::Relaxed);
        let failing =
            self.failures.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if failing.is_ok() {
            return Err("the bucket is on fire".to_owned());
        }
        self.neighbours.publish(result).await
    }
}

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) shared: Arc<Shared>,
    pub(crate) daemon: Arc<Daemon>,
    pub(crate) drain: CancellationToken,
    pub(crate) room: Room,
    running: Option<JoinHandle<Drained>>,
}

/// What the worker signs with.
pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32]).unwrap()
}

pub(crate) fn limits() -> Limits {
    Limits { drain: Duration::from_secs(20), publishing: Duration::from_secs(2), ..Limits::default() }
}

impl Fixture {
    /// A worker that knows these coordinators.
    pub(crate) fn new(coordinators: &[&str]) -> Self {
        Self::with(coordinators, limits())
    }

    pub(crate) fn with(coordinators: &[&str], limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(DiskStore::open(&OpenOptions::new(dir.path().join("cache"))).unwrap());
        let options = ObjectOptions::new(dir.path().join("spool"));
        let shared = SharedCache::open(dir.path().join("shared").to_str().unwrap(), &options).unwrap();
        let (peers, patience) = (Arc::new(NoPeers), TiersOptions::default());
        let runtime = tokio::runtime::Handle::current();
        let tiers = Tiers::new(disk.clone(), peers, shared.objects, &patience, runtime).unwrap();
        let grace = Duration::from_millis(300);
        let tools = support::config().view.tools;
        let executor = PlainExecutor::start(support::launcher(), tools, grace).unwrap();
        let stores = Stores {
            blobs: Arc::new(tiers.clone()),
            actions: Arc::new(DiskActionCache::new(&disk)),
            files: Arc::new(TieredFiles { disk: disk.clone(), tiers: tiers.clone() }),
            sources: Arc::new(NoSourceFiles),
        };
        let config = WorkerConfig::new("w", dir.path().join("work"));
        let worker = Arc::new(Worker::new(config, Arc::new(executor), stores).unwrap());
        let neighbours = Neighbours::new(tiers.clone(), OWN, dir.path().join("spool"));
        let (failures, tries) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shared = Arc::new(Shared { neighbours, blobs: shared.blobs, failures, tries });
        let room = Room::default();
        let parts = DaemonParts {
            worker,
            blobs: Arc::new(tiers),
            exchange: shared.clone(),
            in_use: InUse::of(disk),
            room: room.clone(),
            signing: Some(key()),
        };
        let config = DaemonConfig {
            name: "w".to_owned(),
            incarnation: 7,
            address: OWN.to_owned(),
            cpu_millis: 4000,
            memory_bytes: 1 << 30,
            labels: [("Arch".to_owned(), "x86_64".to_owned())].into(),
            coordinators: coordinators.iter().map(|&address| address.to_owned()).collect(),
            dial: Dial::default(),
            limits,
        };
        let daemon = Arc::new(Daemon::new(config, parts).unwrap());
        let drain = CancellationToken::new();
        let running = tokio::spawn({
            let (daemon, drain) = (Arc::clone(&daemon), drain.clone());
            async move { daemon.run(drain).await }
        });
        Self { dir, shared, daemon, drain, room, running: Some(running) }
    }

    /// The end of the daemon.
    pub(crate) async fn end(&mut self) -> Drained {
        tokio::time::timeout(crate::peer::PATIENCE, self.running.take().unwrap()).await.unwrap().unwrap()
    }

    /// A file of this test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// How often a step has written a line to this file.
    pub(crate) fn lines(&self, name: &str) -> usize {
        std::fs::read_to_string(self.path(name)).unwrap_or_default().lines().count()
    }

    /// Waits until the file is there.
    pub(crate) async fn until(&self, name: &str) {
        let path = self.path(name);
        tokio::task::spawn_blocking(move || support::eventually("the step gets on", || path.exists()))
            .await
            .unwrap();
    }

    /// A step with this script; `$D` in it is the directory of the test.
    pub(crate) fn start(&self, step: u32, epoch: u64, script: &str) -> Start {
        let script = script.replace("$D", self.dir.path().to_str().unwrap());
        start(step, epoch, &script, &[])
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.abort();
        }
    }
}

pub(crate) fn attempt(step: u32, epoch: u64) -> Attempt {
    Attempt { run: RUN.to_owned(), step, attempt: 1, epoch }
}

pub(crate) fn start(step: u32, epoch: u64, script: &str, outputs: &[&str]) -> Start {
    start_in(FUNCTION.digest(b""), step, epoch, script, outputs)
}

pub(crate) fn start_in(input_root: Digest, step: u32, epoch: u64, script: &str, outputs: &[&str]) -> Start {
    let output = |path: &&str| OutputPath { path: (*path).to_owned(), globs: false, optional: false };
    let action = Action {
        arguments: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec![],
        working_directory: String::new(),
        outputs: outputs.iter().map(output).collect(),
        input_root,
        platform: vec![("environment".to_owned(), "1".to_owned())],
        timeout: Duration::from_secs(60),
        do_not_cache: false,
        salt: vec![],
        trees: false,
    };
    let encoded = action.encode(FUNCTION);
    Start {
        attempt: Some(attempt(step, epoch)),
        name: format!("step-{step}"),
        action: Some(v1::Digest {
            hash: encoded.digest.hash_hex(),
            size_bytes: encoded.digest.size().try_into().unwrap(),
        }),
        action_message: encoded.action.into(),
        command_message: encoded.command.into(),
        outputs: outputs.iter().map(|&path| path.to_owned()).collect(),
        inputs: vec![],
        reports: vec![],
        limits: Default::default(),
        image_reference: String::new(),
        caches: vec![],
        services: Vec::new(),
        traceparent: String::new(),
        scope: String::new(),
    }
}
