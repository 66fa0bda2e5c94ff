//! A worker with a real cache, and an executor that runs a closure in place of a process.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use cullet_cache::disk::{DiskActionCache, DiskStore, OpenOptions};
use cullet_cache::{Action, ActionResult, Blob, BlobStore, OutputPath};
use cullet_digest::{
    Digest, DigestFunction, Directory, DirectoryNode, FileNode, NodeName, SymlinkNode, TreeRef,
};
use cullet_worker::logs::NoEvents;
use cullet_worker::{
    Attempt, AttemptReport, ExecuteError, Execution, Exit, Launch, LogSink, Owners, RootUpper, SourceFiles,
    StepExecutor, Stores, Worker, WorkerConfig,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) use crate::results::{pairs, text, tree};

pub(crate) const FUNCTION: DigestFunction = DigestFunction::Blake3;

type Script = dyn Fn(&Sight<'_>, &mut dyn LogSink) -> Exit + Send + Sync;

/// What a closure sees instead of a sandbox.
pub(crate) struct Sight<'a> {
    pub(crate) launch: &'a Launch,
    /// The upper layer of its workspace.
    pub(crate) upper: &'a Path,
}

impl Sight<'_> {
    pub(crate) fn write(&self, path: &str, contents: impl AsRef<[u8]>) {
        let path = self.upper.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.upper.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }
}

/// Of whoever runs the tests.
const OWNERS: Owners = Owners { uid: 0, gid: 0, own: None, block: None };

/// A process that ends with this one has run out of memory.
pub(crate) const OUT_OF_MEMORY: i32 = 137;

struct Closure(Box<Script>);

impl std::fmt::Debug for Closure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Closure")
    }
}

#[async_trait]
impl StepExecutor for Closure {
    fn name(&self) -> &'static str {
        "closure"
    }

    async fn execute(
        &self,
        launch: Launch,
        mut log: Box<dyn LogSink>,
        cancel: CancellationToken,
    ) -> Result<Execution, ExecuteError> {
        let upper = launch.scratch.join("upper");
        fs::create_dir(&upper).unwrap();
        let mut exit = (self.0)(&Sight { launch: &launch, upper: &upper }, &mut *log);
        if cancel.is_cancelled() {
            exit = Exit::Cancelled;
        }
        Ok(Execution {
            exit,
            started_at: SystemTime::UNIX_EPOCH + Duration::from_secs(7),
            duration: Duration::from_millis(3),
            usage: cullet_worker::Usage { cpu_ms: 2, peak_memory_bytes: 3 << 20, ..Default::default() },
            out_of_disk: 0,
            out_of_memory: u64::from(exit == Exit::Code(OUT_OF_MEMORY)),
            workspace: vec![upper, launch.inputs.clone()],
            root_upper: launch.image.as_ref().map(|_| RootUpper {
                path: launch.scratch.join("root"),
                owners: OWNERS,
                ranged: false,
                secrets: !launch.secrets.is_empty(),
            }),
            engine_upper: None,
            // None of them lasts.
            services: launch.services.iter().map(|beside| format!("'{}' has gone", beside.name)).collect(),
        })
    }
}

pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) store: DiskStore,
    pub(crate) actions: Arc<DiskActionCache>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) owner: Option<(u32, u32)>,
    pub(crate) change: fn(&mut WorkerConfig),
}

/// Sources by digest.
#[derive(Debug, Default)]
pub(crate) struct Sources(pub(crate) Mutex<Vec<(Digest, PathBuf)>>);

impl SourceFiles for Sources {
    fn locate(&self, digest: &Digest) -> Option<PathBuf> {
        let known = self.0.lock().unwrap();
        known.iter().find(|(known, _)| known == digest).map(|(_, path)| path.clone())
    }
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    pub(crate) fn at(dir: TempDir) -> Self {
        Self::owned_by(dir, None)
    }

    pub(crate) fn owned_by(dir: TempDir, owner: Option<(u32, u32)>) -> Self {
        let options = OpenOptions { owner, ..OpenOptions::new(dir.path().join("cache")) };
        let store = DiskStore::open(&options).unwrap();
        let actions = Arc::new(DiskActionCache::new(&store));
        Self { dir, store, actions, sources: Arc::default(), owner, change: |_| () }
    }

    pub(crate) fn stores(&self) -> Stores {
        Stores {
            blobs: Arc::new(self.store.clone()),
            actions: self.actions.clone(),
            files: Arc::new(self.store.clone()),
            sources: self.sources.clone(),
        }
    }

    pub(crate) fn worker_with(&self, executor: Arc<dyn StepExecutor>) -> Worker {
        let mut config = WorkerConfig::new("here", self.work_dir());
        config.owner = self.owner;
        (self.change)(&mut config);
        Worker::new(config, executor, self.stores()).unwrap()
    }

    pub(crate) fn worker(
        &self,
        script: impl Fn(&Sight<'_>, &mut dyn LogSink) -> Exit + Send + Sync + 'static,
    ) -> Worker {
        self.worker_with(Arc::new(Closure(Box::new(script))))
    }

    /// With other stores than the fixture's own.
    pub(crate) fn worker_from(
        &self,
        stores: Stores,
        script: impl Fn(&Sight<'_>, &mut dyn LogSink) -> Exit + Send + Sync + 'static,
    ) -> Worker {
        let config = WorkerConfig::new("here", self.work_dir());
        Worker::new(config, Arc::new(Closure(Box::new(script))), stores).unwrap()
    }

    pub(crate) fn work_dir(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Runs one attempt that writes what the closure writes, and checks that nothing is left.
    pub(crate) async fn run(
        &self,
        action: Action,
        script: impl Fn(&Sight<'_>) + Send + Sync + 'static,
    ) -> AttemptReport {
        let worker = self.worker(move |sight, _| {
            script(sight);
            Exit::Code(0)
        });
        let report = run(&worker, action).await;
        drop(worker);
        self.assert_clean();
        report
    }

    pub(crate) fn assert_clean(&self) {
        assert_eq!(fs::read_dir(self.work_dir()).unwrap().count(), 0);
    }

    pub(crate) async fn put(&self, bytes: impl Into<Vec<u8>>) -> Digest {
        let bytes = bytes.into();
        let digest = FUNCTION.digest(&bytes);
        self.store.put(&digest, Blob::from(bytes)).await.unwrap();
        digest
    }

    /// Stores a directory.
    pub(crate) async fn directory(&self, entries: &[(&str, Entry<'_>)]) -> Digest {
        let (mut files, mut dirs, mut links) = (vec![], vec![], vec![]);
        for (name, entry) in entries {
            let name = NodeName::new(*name).unwrap();
            match entry {
                Entry::File(bytes) => {
                    files.push(FileNode { name, digest: self.put(*bytes).await, executable: false });
                }
                Entry::Program(bytes) => {
                    files.push(FileNode { name, digest: self.put(*bytes).await, executable: true });
                }
                Entry::Blob(digest) => files.push(FileNode { name, digest: *digest, executable: false }),
                Entry::Dir(digest) => dirs.push(DirectoryNode { name, digest: *digest }),
                Entry::Link(target) => links.push(SymlinkNode { name, target: (*target).into() }),
            }
        }
        self.put(Directory::new(files, dirs, links).unwrap().encode()).await
    }

    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hash = digest.hash_hex();
        let found = walk(&self.store.dir().join("cas")).into_iter();
        let mut found = found.filter(|path| path.to_string_lossy().contains(&hash[..16]));
        found.next().unwrap_or_else(|| panic!("{digest} is not stored"))
    }

    /// The paths below an output directory with their contents, `*` after those of programs.
    pub(crate) async fn listing(&self, tree: TreeRef) -> Vec<(String, String)> {
        let mut listing = Vec::new();
        let mut todo = vec![(String::new(), tree)];
        while let Some((path, tree)) = todo.pop() {
            match tree {
                TreeRef::File { digest, executable } => {
                    let bytes = self.store.get(&digest).await.unwrap().into_bytes().unwrap();
                    let mark = if executable { "*" } else { "" };
                    listing.push((path + mark, String::from_utf8(bytes.to_vec()).unwrap()));
                }
                TreeRef::Directory(digest) => {
                    let bytes = self.store.get(&digest).await.unwrap().into_bytes().unwrap();
                    let directory = Directory::decode(FUNCTION, &bytes).unwrap();
                    for file in directory.files() {
                        let tree = TreeRef::File { digest: file.digest, executable: file.executable };
                        todo.push((format!("{path}/{}", file.name), tree));
                    }
                    for link in directory.symlinks() {
                        listing.push((format!("{path}/{}@", link.name), link.target.to_string()));
                    }
                    for below in directory.directories() {
                        todo.push((format!("{path}/{}", below.name), TreeRef::Directory(below.digest)));
                    }
                    listing.push((path + "/", String::new()));
                }
            }
        }
        listing.sort();
        listing
    }
}

pub(crate) enum Entry<'a> {
    File(&'a str),
    Program(&'a str),
    Blob(Digest),
    Dir(Digest),
    Link(&'a str),
}

pub(crate) fn walk(dir: &Path) -> Vec<PathBuf> {
    let (mut files, mut todo) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path())
            } else {
                files.push(entry.path())
            }
        }
    }
    files
}

pub(crate) fn attempt(action: Action) -> Attempt {
    Attempt {
        label: "step".to_owned(),
        action_digest: action.encode(FUNCTION).digest,
        action: Arc::new(action),
        image: None,
        service_images: Default::default(),
        limits: cullet_worker::StepLimits::default(),
        caches: Vec::new(),
        write_result: true,
        visit: None,
        masks: cullet_worker::Masks::default(),
        uses: cullet_worker::Uses::default(),
    }
}

pub(crate) async fn run(worker: &Worker, action: Action) -> AttemptReport {
    worker.run(attempt(action), NoEvents, CancellationToken::new()).await
}

/// An action without inputs; an output that has a `*` is a pattern, one that begins with `?` may be missing.
pub(crate) fn action(outputs: &[&str]) -> Action {
    let output = |path: &&str| OutputPath {
        path: path.trim_start_matches('?').to_owned(),
        globs: path.contains('*'),
        optional: path.starts_with('?'),
    };
    Action {
        arguments: vec!["true".to_owned()],
        env: vec![],
        working_directory: String::new(),
        outputs: outputs.iter().map(output).collect(),
        input_root: FUNCTION.digest(b""),
        platform: vec![("environment".to_owned(), "1".to_owned())],
        timeout: Duration::from_secs(60),
        do_not_cache: false,
        salt: vec![],
        trees: false,
    }
}

#[track_caller]
pub(crate) fn succeeded(report: AttemptReport) -> ActionResult {
    match report {
        AttemptReport::Succeeded { result, warnings } if warnings.is_empty() => result,
        other => panic!("{other:#?}"),
    }
}

#[track_caller]
pub(crate) fn failed(report: AttemptReport) -> String {
    match report {
        AttemptReport::Failed { reason: Some(reason), .. } => reason,
        other => panic!("{other:#?}"),
    }
}
