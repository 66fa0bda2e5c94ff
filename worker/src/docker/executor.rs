//! The executor on top of an engine.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::account::{Account, account};
use super::caches::Caches;
use super::container::Container;
use super::follow::{Bounds, Ended, follow};
use super::holder::{Holder, Needs};
use super::services::{self, Ground, Services};
use super::spec::{Shared, Spec};
use super::visit::receive;
use super::{Engine, files, refusal, root, workspace};
use crate::sandbox::runner::setup;
use crate::services::{NOT_READY, NoStep, SharedLog};
use crate::{EngineUpper, ExecuteError, Execution, Exit, Launch, LogSink, StepExecutor, Stream};

/// Containers at a time; more wait. An engine takes longer for each the more there are, and needs some 10 MiB for it.
const MAX_IN_FLIGHT: u32 = 64;

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
        Self { engine, grace, no_sandbox: None, room: Arc::new(Semaphore::new(MAX_IN_FLIGHT as usize)) }
    }

    /// In place of a sandbox, which cannot be had for this reason.
    #[must_use]
    pub fn instead_of_a_sandbox(self, reason: String) -> Self {
        Self { no_sandbox: Some(reason), ..self }
    }

    /// Runs the step with what is beside it, to the end of all.
    async fn beside(
        &self,
        step: &Step<'_>,
        log: Box<dyn LogSink>,
        cancel: &CancellationToken,
    ) -> Result<Left, ExecuteError> {
        let launch = step.launch;
        let Some(holder) = step.holder.filter(|_| !launch.services.is_empty()) else {
            return self.contained(step, None, log, cancel).await;
        };
        let masker = launch.services.first().map(|service| Arc::clone(&service.masker)).unwrap_or_default();
        let log = SharedLog::new(log, masker);
        let ground = Ground {
            engine: self.engine.clone(),
            holder: holder.id().to_owned(),
            shown: step.shown.to_vec(),
            scratch: launch.scratch.clone(),
            grace: self.grace,
            limits: launch.limits,
            needed: services::needed(launch),
        };
        let mut beside = Services::start(ground, &launch.services, log.clone());
        let mut blame = None;
        let waiting = Some(Waiting { services: &mut beside, blame: &mut blame });
        let left = self.contained(step, waiting, Box::new(log), cancel).await;
        let told = beside.stop().await;
        let mut left = left?;
        left.ended.out_of_memory += told.out_of_memory;
        left.said = blame.map_or(told.sentences, |why| vec![why]);
        Ok(left)
    }

    /// The step's own container with its cache volumes, from its making to its end.
    async fn contained(
        &self,
        step: &Step<'_>,
        waiting: Option<Waiting<'_>>,
        log: Box<dyn LogSink>,
        cancel: &CancellationToken,
    ) -> Result<Left, ExecuteError> {
        let launch = step.launch;
        let about = (&self.engine.shared.process, self.engine.facts().divisible_processors());
        let spec = Spec::of(launch, step.image, step.account, step.shown.to_vec(), about);
        let spec = match step.holder {
            None => spec,
            Some(holder) => spec.sharing(Shared {
                network: (!launch.services.is_empty()).then(|| holder.id()),
                holder: holder.id(),
                secrets: &launch.secrets,
                is_visited: launch.visit.is_some(),
            }),
        };
        let mut caches = Caches::prepare(launch).await?;
        let container = caches.container(&self.engine, spec, step.owner(), cancel).await?;
        let ended = self.inside(&container, (step, &caches), waiting, log, cancel).await;
        let root = match &ended {
            Ok(ended) if launch.keeps_root && ended.exit == Exit::Code(0) => {
                root::keep(&container, launch, step.image, &launch.scratch).await.map(Some)
            }
            _ => Ok(None),
        };
        // Before anybody hears of the end: this process may be about to end, too.
        if let Err(error) = container.remove().await {
            tracing::warn!(%error, "a container stays for now");
        }
        Ok(Left { root: root?, ended: ended?, said: Vec::new() })
    }

    /// Everything between the making of a container and its end.
    async fn inside(
        &self,
        container: &Container,
        (step, caches): (&Step<'_>, &Caches),
        waiting: Option<Waiting<'_>>,
        log: Box<dyn LogSink>,
        cancel: &CancellationToken,
    ) -> Result<Ended, ExecuteError> {
        let launch = step.launch;
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(Ended::unseen(Exit::Cancelled)),
            put = workspace::fill(container, launch, caches, step.owner()) => put?,
        }
        if let Some(Waiting { services, blame }) = waiting {
            match services.ready(cancel).await {
                Ok(()) => {}
                Err(NoStep::Trouble(error)) => return Err(error),
                Err(NoStep::Cancelled) => return Ok(Ended::unseen(Exit::Cancelled)),
                Err(NoStep::NotReady(why)) => {
                    *blame = Some(why);
                    return Ok(Ended::unseen(Exit::Code(NOT_READY)));
                }
            }
        }
        let name = launch.arguments.first().map_or("", String::as_str);
        let bounds = Bounds { timeout: launch.timeout, grace: self.grace };
        let ended = match &launch.visit {
            Some(visit) => receive(container, launch, visit, bounds, log, cancel).await?,
            None => follow(container, name, bounds, || (), log, cancel).await?,
        };
        workspace::take(container, launch, caches, &ended, step.workspace.to_owned()).await?;
        Ok(ended)
    }
}

/// A step, and all that was found out about it.
struct Step<'a> {
    launch: &'a Launch,
    /// What the engine calls its image.
    image: &'a str,
    account: &'a Account,
    /// Files of this machine, and where they are to be seen.
    shown: &'a [(PathBuf, String)],
    /// What it shares with its services, and where its secrets are; none where there are neither.
    holder: Option<&'a Holder>,
    /// Where what is in its workspace goes.
    workspace: &'a Path,
}

impl Step<'_> {
    fn owner(&self) -> (u32, u32) {
        (self.account.uid, self.account.gid)
    }
}

/// What is left of a step.
struct Left {
    ended: Ended,
    /// What it changed of its root, where that is wanted.
    root: Option<EngineUpper>,
    /// Of its services.
    said: Vec<String>,
}

/// Services that a step waits for, and room for what is wrong with one.
struct Waiting<'a> {
    services: &'a mut Services,
    blame: &'a mut Option<String>,
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
        // All that run at a time; there are never more services than places.
        let places =
            u32::try_from(1 + launch.services.len()).map_or(MAX_IN_FLIGHT, |all| all.min(MAX_IN_FLIGHT));
        let room = Arc::clone(&self.room).acquire_many_owned(places).await;
        let _room = room.map_err(|_| setup("wait for room", std::io::ErrorKind::Other.into()))?;
        let workspace = launch.scratch.join("workspace");
        let scratch = |source| setup("prepare the scratch directory", source);
        DirBuilder::new().mode(0o755).create(&workspace).map_err(scratch)?;
        if !is_directory(&launch.inputs, &launch.working_directory) {
            let ended = nowhere(&launch, log).await;
            return Ok(execution(Left { ended, root: None, said: Vec::new() }, workspace));
        }
        let user = launch.image.as_ref().map_or("", |image| &image.user);
        let account = account(&self.engine, &image, user).await?;
        let names: Vec<String> = launch.services.iter().map(|service| service.name.clone()).collect();
        let shown = files::write(&launch.scratch, &names).map_err(scratch)?;
        let needs = Needs {
            names: &names,
            secrets: &launch.secrets,
            owner: (account.uid, account.gid),
            is_visited: launch.visit.is_some(),
            needed: services::needed(&launch),
        };
        let holder = Holder::start(&self.engine, needs).await?;
        let step = Step {
            launch: &launch,
            image: &image,
            account: &account,
            shown: &shown,
            holder: holder.as_ref(),
            workspace: &workspace,
        };
        let ran = self.beside(&step, log, &cancel).await;
        if let Some(holder) = holder
            && let Err(error) = holder.remove().await
        {
            tracing::warn!(%error, "a container stays for now");
        }
        Ok(execution(ran?, workspace))
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
    Ended::unseen(Exit::Code(NOT_EXECUTABLE))
}

fn execution(left: Left, workspace: PathBuf) -> Execution {
    let Left { ended, root, said } = left;
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
        engine_upper: root,
        services: said,
    }
}
