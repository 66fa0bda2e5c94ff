//! One service, from its start to its end.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cullet_cache::services::{Check, Ready};
use cullet_secrets::Masker;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::super::account::account;
use super::super::container::Container;
use super::super::follow::{Bounds, Ended, follow};
use super::super::holder::{Holder, Needs, variables};
use super::super::pack::WORKSPACE;
use super::super::refusal::NOT_HERE;
use super::super::spec::{Shared, Spec, command};
use super::Ground;
use super::checks::Probe;
use crate::sandbox::runner::setup;
use crate::services::told::{self, LastLines};
use crate::services::{NoStep, ServiceLog, SharedLog, joined, times, until_ready};
use crate::{ExecuteError, Exit, Launch, LogSink, ServiceLaunch, Stream};

/// A service that was started. Dropping it stops it, without waiting for that.
pub(super) struct Beside {
    name: String,
    ready: Option<Ready>,
    ground: Arc<Ground>,
    stop: DropGuard,
    /// The container, once its program was started.
    container: Option<oneshot::Receiver<String>>,
    /// It ends when nothing of the service is left.
    following: JoinHandle<Result<Ended, ExecuteError>>,
    ended: Option<Result<Ended, ExecuteError>>,
    last: Arc<Mutex<LastLines>>,
    masker: Arc<Masker>,
    began: Instant,
}

impl Beside {
    pub(super) fn start(
        ground: &Arc<Ground>,
        launch: ServiceLaunch,
        scratch: PathBuf,
        log: &SharedLog,
    ) -> Self {
        let (name, ready, began) = (launch.name.clone(), as_asked(&launch), Instant::now());
        let (log, last) = log.of_service(&name);
        let masker = Arc::clone(&launch.masker);
        let (tell, container) = oneshot::channel();
        let stop = CancellationToken::new();
        let (on, signal) = (Arc::clone(ground), stop.clone());
        // To its end, whoever waits for it: nobody else removes the container.
        let following = tokio::spawn(async move { live(&on, launch, &scratch, signal, tell, log).await });
        let (ground, stop, container) = (Arc::clone(ground), stop.drop_guard(), Some(container));
        Self { name, ready, ground, stop, container, following, ended: None, last, masker, began }
    }

    /// What ends when it is ready, with a sentence where it is not in time; and what ends when it ends.
    pub(super) fn watch(
        &mut self,
    ) -> (impl Future<Output = Result<(), String>> + use<>, impl Future<Output = NoStep> + use<'_>) {
        let (container, ready) = (self.container.take(), self.ready.clone());
        let (name, ground, last) = (self.name.clone(), Arc::clone(&self.ground), Arc::clone(&self.last));
        let masker = Arc::clone(&self.masker);
        let until_ready = async move {
            let Some(Ok(container)) = async { Some(container?.await) }.await else {
                // It has ended, which is seen by the other.
                return std::future::pending().await;
            };
            let times = times(ready.as_ref());
            let check = ready.map(|ready| ready.check);
            let probe = Probe { check, name: name.clone(), ground, container, masker };
            until_ready(&name, times, &last, |until| probe.ask(until)).await
        };
        let until_ended = async {
            let ended = joined((&mut self.following).await);
            let why = match &ended {
                Ok(ended) => {
                    let how = told::by_itself(ended.exit).unwrap_or_else(|| "was stopped".to_owned());
                    NoStep::NotReady(told::early(&self.name, &how, self.began.elapsed(), &lock(&self.last)))
                }
                Err(error) => NoStep::Trouble(of_service(&self.name, error)),
            };
            self.ended = Some(ended);
            why
        };
        (until_ready, until_ended)
    }

    /// Asks it to end, and has it killed soon after.
    pub(super) fn stop(&self) {
        self.stop.token().cancel();
    }

    /// Until nothing of it is left. A sentence where it had ended before it was asked to, and how often it had not the memory
    /// that it wanted.
    pub(super) async fn end(self) -> (Option<String>, u64) {
        let ended = match self.ended {
            Some(ended) => ended,
            None => joined(self.following.await),
        };
        let (how, out_of_memory) = match ended {
            Ok(ended) => (told::by_itself(ended.exit), ended.out_of_memory),
            Err(error) => (Some(format!("was lost ({error})")), 0),
        };
        (how.map(|how| told::meanwhile(&self.name, &how, &lock(&self.last))), out_of_memory)
    }
}

/// Makes the container, follows it to its end, and removes it.
async fn live(
    ground: &Ground,
    launch: ServiceLaunch,
    scratch: &Path,
    stop: CancellationToken,
    tell: oneshot::Sender<String>,
    log: ServiceLog,
) -> Result<Ended, ExecuteError> {
    let Made { container, holder, owner } = make(ground, &launch).await?;
    let log = Arc::new(Mutex::new(log));
    let followed = async {
        let inputs = scratch.join("inputs");
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&inputs);
        made.map_err(|source| setup("prepare a service's scratch directory", source))?;
        container.put(inputs, (WORKSPACE.to_vec(), Vec::new()), owner).await?;
        if stop.is_cancelled() {
            return Ok(Ended::unseen(Exit::Cancelled));
        }
        let name = launch.arguments.first().map_or("", String::as_str);
        let id = container.id.clone();
        // Whoever wanted to know may have gone.
        let started = move || drop(tell.send(id));
        let bounds = Bounds { timeout: Duration::MAX, grace: ground.grace };
        follow(&container, name, bounds, started, Box::new(Part(Arc::clone(&log))), &stop).await
    };
    let followed = followed.await;
    let how = followed.as_ref().ok().and_then(|ended| told::by_itself(ended.exit));
    // The log may block.
    let ending = tokio::task::spawn_blocking(move || lock(&log).end(how.as_deref()));
    if let Err(error) = ending.await {
        tracing::warn!(%error, "the log of a service was not ended");
    }
    if let Err(error) = container.remove().await {
        tracing::warn!(%error, "a service's container stays for now");
    }
    if let Some(holder) = holder
        && let Err(error) = holder.remove().await
    {
        tracing::warn!(%error, "a container with a service's secrets stays for now");
    }
    followed
}

/// A container for a service, not started.
struct Made {
    container: Container,
    /// What has its secrets, if it has any: the step's are not all its own, and are another user's.
    holder: Option<Holder>,
    /// Who its user is.
    owner: (u32, u32),
}

/// When it is ready, with the command of a check as the container takes it: that finds the service's variables, too.
fn as_asked(launch: &ServiceLaunch) -> Option<Ready> {
    let mut ready = launch.ready.clone();
    if let Some(Ready { check: Check::Exec { command: check }, .. }) = &mut ready
        && variables(&launch.secrets).next().is_some()
    {
        *check = command(&launch.secrets, check);
    }
    ready
}

async fn make(ground: &Ground, launch: &ServiceLaunch) -> Result<Made, ExecuteError> {
    let engine = &ground.engine;
    let image = launch.image.in_engine.as_ref();
    let image = image.ok_or_else(|| ExecuteError::Unavailable(NOT_HERE.to_owned()))?;
    let account = account(engine, image, &launch.image.user).await?;
    let as_step = Launch {
        arguments: launch.arguments.clone(),
        env: launch.env.clone(),
        working_directory: String::new(),
        inputs: PathBuf::new(),
        scratch: PathBuf::new(),
        network: false,
        timeout: ground.needed,
        limits: ground.limits,
        image: Some(launch.image.clone()),
        keeps_root: false,
        keeps_workspace: false,
        visit: None,
        secrets: Vec::new(),
        caches: Vec::new(),
        services: Vec::new(),
    };
    let owner = (account.uid, account.gid);
    let (secrets, needed) = (&*launch.secrets, ground.needed);
    let needs = Needs { names: &[], secrets, owner, is_visited: false, needed };
    let holder = Holder::start(engine, needs).await?;
    let about = (&engine.shared.process, engine.facts().divisible_processors());
    let shared = Shared {
        network: Some(&ground.holder),
        holder: holder.as_ref().map_or(&*ground.holder, Holder::id),
        secrets,
        is_visited: false,
    };
    let spec = Spec::of(&as_step, image, &account, ground.shown.clone(), about)
        .sharing(shared)
        .starting_at(launch.working_directory.clone());
    Ok(Made { container: Container::create(engine, spec).await?, holder, owner })
}

/// The log of a service, of which somebody keeps the other part to end it.
struct Part(Arc<Mutex<ServiceLog>>);

impl LogSink for Part {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        lock(&self.0).write(stream, bytes);
    }
}

/// The same, with the name of the service.
fn of_service(name: &str, error: &ExecuteError) -> ExecuteError {
    let source = match error {
        ExecuteError::Setup { source, .. } => std::io::Error::new(source.kind(), source.to_string()),
        other => std::io::Error::other(other.to_string()),
    };
    setup(&format!("start the service '{name}'"), source)
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
