//! The executor on top of an engine.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::account::account;
use super::caches::Caches;
use super::container::Container;
use super::follow::{Bounds, Ended, follow};
use super::spec::Spec;
use super::{Engine, files, refusal, root, workspace};
use crate::sandbox::runner::setup;
use crate::{ExecuteError, Execution, Exit, Launch, LogSink, StepExecutor, Stream, Usage};

/// Containers at a time; more wait. An engine takes longer for each the more there are, and needs some 10 MiB for it.
const MAX_IN_FLIGHT: usize = 64;

/// What a shell answers for a program that cannot be run.
const NOT_EXECUTABLE: i32 = 126;

/// Runs steps in containers.
#[derive(Debug)]
pub struct DockerExecutor {
    engine: Engine,
    grace: Duration,
    /// Why the sandbox is not used, where that was preferred.
    no_sandbox: Option<String>,
    room: Arc<Semaphore>,
}

impl DockerExecutor {
    /// With an engine that answers. `grace` is how long a step has to react to SIGTERM before it is killed.
    pub fn new(engine: Engine, grace: Duration) -> Self {
        Self { engine, grace, no_sandbox: None, room: Arc::new(Semaphore::new(MAX_IN_FLIGHT)) }
    }

    /// In place of a sandbox, which cannot be had for this reason.
    #[must_use]
    pub fn instead_of_a_sandbox(self, reason: String) -> Self {
        Self { no_sandbox: Some(reason), ..self }
    }

    /// A container for the step, not started and without inputs, with its cache volumes; without those that it cannot have.
    async fn begin(
        &self,
        launch: &Launch,
        image: &str,
        caches: &mut Caches,
        cancel: &CancellationToken,
    ) -> Result<(Container, (u32, u32)), ExecuteError> {
        let user = launch.image.as_ref().map_or("", |image| &image.user);
        let account = account(&self.engine, image, user).await?;
        let owner = (account.uid, account.gid);
        let shown =
            files::write(&launch.scratch).map_err(|source| setup("prepare the scratch directory", source))?;
        let about = (&self.engine.shared.process, self.engine.facts().processors);
        let spec = Spec::of(launch, image, &account, shown, about);
        Ok((caches.container(&self.engine, spec, owner, cancel).await?, owner))
    }

    /// Everything between the making of a container and its end.
    async fn inside(
        &self,
        (container, owner): (&Container, (u32, u32)),
        (launch, caches): (&Launch, &Caches),
        log: Box<dyn LogSink>,
        cancel: &CancellationToken,
        workspace: PathBuf,
    ) -> Result<Ended, ExecuteError> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(unseen(Exit::Cancelled)),
            put = workspace::fill(container, launch, caches, owner) => put?,
        }
        let name = launch.arguments.first().map_or("", String::as_str);
        let bounds = Bounds { timeout: launch.timeout, grace: self.grace };
        let ended = follow(container, name, bounds, log, cancel).await?;
        workspace::take(container, launch, caches, &ended, workspace).await?;
        Ok(ended)
    }
}

#[async_trait]
impl StepExecutor for DockerExecutor {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn execute(
        &self,
        launch: Launch,
        log: Box<dyn LogSink>,
        cancel: CancellationToken,
    ) -> Result<Execution, ExecuteError> {
        let image = refusal::image_of(&launch, self.no_sandbox.as_deref())?;
        if let Some(why) = self.engine.no_roots().filter(|_| launch.keeps_root) {
            return Err(ExecuteError::Unavailable(why));
        }
        let room = Arc::clone(&self.room).acquire_owned().await;
        let _room = room.map_err(|_| setup("wait for room", std::io::ErrorKind::Other.into()))?;
        let workspace = launch.scratch.join("workspace");
        DirBuilder::new()
            .mode(0o755)
            .create(&workspace)
            .map_err(|source| setup("prepare the scratch directory", source))?;
        if !is_directory(&launch.inputs, &launch.working_directory) {
            return Ok(execution(nowhere(&launch, log).await, workspace));
        }
        let mut caches = Caches::prepare(&launch).await?;
        let (container, owner) = self.begin(&launch, &image, &mut caches, &cancel).await?;
        let about = (&launch, &caches);
        let ended = self.inside((&container, owner), about, log, &cancel, workspace.clone()).await;
        let left = match &ended {
            Ok(ended) if launch.keeps_root && ended.exit == Exit::Code(0) => {
                root::keep(&container, &launch, &image, &launch.scratch).await.map(Some)
            }
            _ => Ok(None),
        };
        // Before anybody hears of the end: this process may be about to end, too.
        if let Err(error) = container.remove().await {
            tracing::warn!(%error, "a container stays for now");
        }
        Ok(Execution { engine_upper: left?, ..execution(ended?, workspace) })
    }
}

/// Engines would make what is not there. Without links: the workspace is not where they lead from here.
fn is_directory(inputs: &Path, path: &str) -> bool {
    use std::os::fd::AsFd as _;
    let Ok(root) = std::fs::File::open(inputs) else { return true };
    match crate::layers::open_dir(root.as_fd(), path.trim_matches('/').as_bytes()) {
        Ok(_) => true,
        Err(error) => {
            !matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
        }
    }
}

/// As the sandbox says that the step cannot start where it is to.
async fn nowhere(launch: &Launch, mut log: Box<dyn LogSink>) -> Ended {
    let line =
        format!("cullet: cannot run '/workspace/{}': No such file or directory\n", launch.working_directory);
    let written = tokio::task::spawn_blocking(move || log.write(Stream::Stderr, line.as_bytes()));
    // A sink that fails is as good as one that nobody reads.
    let _ = written.await;
    unseen(Exit::Code(NOT_EXECUTABLE))
}

fn unseen(exit: Exit) -> Ended {
    let (started_at, duration, usage) = (SystemTime::now(), Duration::ZERO, Usage::default());
    Ended { exit, started_at, duration, usage, out_of_memory: 0 }
}

fn execution(ended: Ended, workspace: PathBuf) -> Execution {
    let Ended { exit, started_at, duration, usage, out_of_memory } = ended;
    let workspace = vec![workspace];
    Execution {
        exit,
        started_at,
        duration,
        usage,
        out_of_memory,
        out_of_disk: 0,
        workspace,
        root_upper: None,
        engine_upper: None,
        services: Vec::new(),
    }
}
