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
use super::container::Container;
use super::follow::{Bounds, Ended, follow};
use super::spec::Spec;
use super::{Engine, files, refusal};
use crate::sandbox::runner::setup;
use crate::{ExecuteError, Execution, Exit, Launch, LogSink, StepExecutor, Stream, Usage, VolumeMount};

/// Containers at a time; more wait. An engine takes longer for each the more there are, and needs some 10 MiB for it.
const MAX_IN_FLIGHT: usize = 64;

/// Why a step has no cache volumes.
const NO_VOLUMES: &str = "containers of Docker have none";

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

    /// A container for the step, not started and without inputs. To its end, whatever becomes of the step: a container
    /// whose name nobody heard would stay.
    async fn make(&self, launch: &Launch, image: &str) -> Result<(Container, (u32, u32)), ExecuteError> {
        let user = launch.image.as_ref().map_or("", |image| &image.user);
        let account = account(&self.engine, image, user).await?;
        let shown =
            files::write(&launch.scratch).map_err(|source| setup("prepare the scratch directory", source))?;
        let about = (&self.engine.shared.process, self.engine.facts().processors);
        let spec = Spec::of(launch, image, &account, shown, about);
        let engine = self.engine.clone();
        let made = tokio::spawn(async move { Container::create(&engine, spec).await }).await;
        let made = made.map_err(|error| setup("make a container", std::io::Error::other(error)))??;
        Ok((made, (account.uid, account.gid)))
    }

    /// Everything between the making of a container and its end.
    async fn inside(
        &self,
        (container, owner): (&Container, (u32, u32)),
        launch: &Launch,
        log: Box<dyn LogSink>,
        cancel: &CancellationToken,
        workspace: PathBuf,
    ) -> Result<Ended, ExecuteError> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(unseen(Exit::Cancelled)),
            put = container.put(launch.inputs.clone(), owner) => put?,
        }
        let name = launch.arguments.first().map_or("", String::as_str);
        let bounds = Bounds { timeout: launch.timeout, grace: self.grace };
        let ended = follow(container, name, bounds, log, cancel).await?;
        if ended.exit != Exit::Cancelled {
            container.take(workspace).await?;
        }
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
        let room = Arc::clone(&self.room).acquire_owned().await;
        let _room = room.map_err(|_| setup("wait for room", std::io::ErrorKind::Other.into()))?;
        for volume in &launch.caches {
            // Whoever made the draft looks there.
            let _ = std::fs::write(volume.draft.join(VolumeMount::FAILED), NO_VOLUMES);
        }
        let workspace = launch.scratch.join("workspace");
        DirBuilder::new()
            .mode(0o755)
            .create(&workspace)
            .map_err(|source| setup("prepare the scratch directory", source))?;
        if !is_directory(&launch.inputs, &launch.working_directory) {
            return Ok(execution(nowhere(&launch, log).await, workspace));
        }
        let (container, owner) = self.make(&launch, &image).await?;
        let ended = self.inside((&container, owner), &launch, log, &cancel, workspace.clone()).await;
        // Before anybody hears of the end: this process may be about to end, too.
        if let Err(error) = container.remove().await {
            tracing::warn!(%error, "a container stays for now");
        }
        Ok(execution(ended?, workspace))
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
        services: Vec::new(),
    }
}
