//! A worker with a cache and the plain executor, so that steps can touch files of the test.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cullet_cache::disk::{DiskActionCache, DiskStore, OpenOptions};
use cullet_cache::{Action, ActionResult, BlobStore, MemoryStore, OutputPath};
use cullet_digest::DigestFunction;
use cullet_proto::v1::{Attempt, Digest, Start};
use cullet_worker::plain::PlainExecutor;
use cullet_worker::remote::{Daemon, DaemonConfig, DaemonParts, Drained, Limits, Publisher};
use cullet_worker::{NoSourceFiles, Stores, Worker, WorkerConfig};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support;

pub(crate) const FUNCTION: DigestFunction = DigestFunction::Blake3;
pub(crate) const RUN: &str = "000102030405060708090a0b0c0d0e0f";

/// A store that others read as well. Fails as often as a test says.
#[derive(Debug)]
pub(crate) struct Shared {
    local: DiskStore,
    pub(crate) blobs: MemoryStore,
    pub(crate) failures: AtomicUsize,
    pub(crate) tries: AtomicUsize,
}

#[async_trait]
impl Publisher for Shared {
    async fn publish(&self, result: &ActionResult) -> Result<(), String> {
        self.tries.fetch_add(1, Ordering::Relaxed);
        let failing =
            self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if failing.is_ok() {
            return Err("the bucket is on fire".to_owned());
        }
        for digest in result.digests() {
            let blob = self.local.get(&digest).await.unwrap().into_bytes().unwrap();
            self.blobs.put(&digest, blob.into()).await.unwrap();
        }
        Ok(())
    }
}

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) shared: Arc<Shared>,
    pub(crate) daemon: Arc<Daemon>,
    pub(crate) drain: CancellationToken,
    running: Option<JoinHandle<Drained>>,
}

pub(crate) fn limits() -> Limits {
    Limits { drain: Duration::from_secs(20), ..Limits::default() }
}

impl Fixture {
    /// A worker that knows these coordinators.
    pub(crate) fn new(coordinators: &[&str]) -> Self {
        Self::with(coordinators, limits())
    }

    pub(crate) fn with(coordinators: &[&str], limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = DiskStore::open(&OpenOptions::new(dir.path().join("cache"))).unwrap();
        let grace = Duration::from_millis(300);
        let tools = support::config().view.tools;
        let executor = PlainExecutor::start(support::launcher(), tools, grace).unwrap();
        let stores = Stores {
            blobs: Arc::new(store.clone()),
            actions: Arc::new(DiskActionCache::new(&store)),
            files: Arc::new(store.clone()),
            sources: Arc::new(NoSourceFiles),
        };
        let config = WorkerConfig::new("w", dir.path().join("work"));
        let worker = Arc::new(Worker::new(config, Arc::new(executor), stores).unwrap());
        let (failures, tries) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let shared = Shared { local: store.clone(), blobs: MemoryStore::new(1 << 30), failures, tries };
        let shared = Arc::new(shared);
        let parts = DaemonParts { worker, blobs: Arc::new(store), publisher: shared.clone() };
        let config = DaemonConfig {
            name: "w".to_owned(),
            incarnation: 7,
            address: "http://127.0.0.1:1".to_owned(),
            cpu_millis: 4000,
            memory_bytes: 1 << 30,
            labels: [("Arch".to_owned(), "x86_64".to_owned())].into(),
            coordinators: coordinators.iter().map(|&address| address.to_owned()).collect(),
            limits,
        };
        let daemon = Arc::new(Daemon::new(config, parts).unwrap());
        let drain = CancellationToken::new();
        let running = tokio::spawn({
            let (daemon, drain) = (Arc::clone(&daemon), drain.clone());
            async move { daemon.run(drain).await }
        });
        Self { dir, shared, daemon, drain, running: Some(running) }
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
    let output = |path: &&str| OutputPath { path: (*path).to_owned(), globs: false, optional: false };
    let action = Action {
        arguments: ["sh", "-c", script].map(str::to_owned).to_vec(),
        env: vec![],
        working_directory: String::new(),
        outputs: outputs.iter().map(output).collect(),
        input_root: FUNCTION.digest(b""),
        platform: vec![],
        timeout: Duration::from_secs(60),
        do_not_cache: false,
        salt: vec![],
    };
    let encoded = action.encode(FUNCTION);
    Start {
        attempt: Some(attempt(step, epoch)),
        name: format!("step-{step}"),
        action: Some(Digest {
            hash: encoded.digest.hash_hex(),
            size_bytes: encoded.digest.size().try_into().unwrap(),
        }),
        action_message: encoded.action.into(),
        command_message: encoded.command.into(),
        outputs: outputs.iter().map(|&path| path.to_owned()).collect(),
        inputs: vec![],
        reports: vec![],
        traceparent: String::new(),
    }
}
