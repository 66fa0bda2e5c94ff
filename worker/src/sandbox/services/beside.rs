//! One service, from its start to its end.

use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cullet_cache::services::{Check, Ready};
use cullet_secrets::Masker;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::super::executor::{open_overlay_work, prepare_scratch, root_scratch};
use super::super::protocol::{Company, StepRequest};
use super::super::runner::{Bounds, Ground, Runner, conclude, setup};
use super::super::supervise::supervise;
use super::checks::Probe;
use crate::host::complete_image_env;
use crate::services::told::{self, LastLines};
use crate::services::{NoStep, ServiceLog, SharedLog, joined, times, until_ready};
use crate::stopping::{StopHandle, StopSignal, stop_signal};
use crate::{ExecuteError, Exit, ServiceLaunch};

/// A service that was started. Dropping it stops it, without waiting for that.
pub(super) struct Beside {
    name: String,
    ready: Option<Ready>,
    ground: Arc<Ground>,
    stop: StopHandle,
    /// Of its first process, once the launcher has it.
    channel: Option<oneshot::Receiver<OwnedFd>>,
    /// It ends when nothing of the service is left.
    following: JoinHandle<Result<Exit, ExecuteError>>,
    ended: Option<Result<Exit, ExecuteError>>,
    last: Arc<Mutex<LastLines>>,
    masker: Arc<Masker>,
    began: Instant,
}

impl Beside {
    pub(super) fn start(
        runner: &Arc<Runner>,
        ground: &Arc<Ground>,
        launch: ServiceLaunch,
        names: &[String],
        scratch: PathBuf,
        log: &SharedLog,
    ) -> Result<Self, ExecuteError> {
        let (stop, signal) = stop_signal().map_err(|source| setup("create a pipe", source))?;
        let (name, ready, began) = (launch.name.clone(), launch.ready.clone(), Instant::now());
        let masker = Arc::clone(&launch.masker);
        let (log, last) = log.of_service(&name);
        let (tell, channel) = oneshot::channel();
        let names = names.to_vec();
        let (runner, on) = (Arc::clone(runner), Arc::clone(ground));
        let following = tokio::task::spawn_blocking(move || {
            let request = prepare(launch, names, &scratch, runner.footing().owner)?;
            let ended = follow(runner, &on, request, signal, tell, log);
            for scratch in [root_scratch(&scratch), scratch] {
                open_overlay_work(&scratch);
            }
            ended
        });
        let (ground, channel) = (Arc::clone(ground), Some(channel));
        Ok(Self { name, ready, ground, stop, channel, following, ended: None, last, masker, began })
    }

    /// What ends when it is ready, with a sentence where it is not in time; and what ends when it ends.
    pub(super) fn watch(
        &mut self,
    ) -> (impl Future<Output = Result<(), String>> + use<>, impl Future<Output = NoStep> + use<'_>) {
        let (channel, ready) = (self.channel.take(), self.ready.clone());
        let (name, ground, last) = (self.name.clone(), Arc::clone(&self.ground), Arc::clone(&self.last));
        let masker = Arc::clone(&self.masker);
        let until_ready = async move {
            let Some(Ok(channel)) = async { Some(channel?.await) }.await else {
                // It has ended, which is seen by the other.
                return std::future::pending().await;
            };
            let times = times(ready.as_ref());
            let check = ready.map(|ready| ready.check);
            let probe = Arc::new(Probe { check, name: name.clone(), ground, channel, masker });
            let ask = |until| {
                let probe = Arc::clone(&probe);
                let asking = tokio::task::spawn_blocking(move || probe.ask(until));
                async { asking.await.unwrap_or_else(|error| Err(error.to_string())) }
            };
            until_ready(&name, times, &last, ask).await
        };
        let until_ended = async {
            let ended = joined((&mut self.following).await);
            let why = match &ended {
                Ok(exit) => {
                    let how = told::by_itself(*exit).unwrap_or_else(|| "was stopped".to_owned());
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
        self.stop.raise();
    }

    /// Until nothing of it is left. A sentence where it had ended before it was asked to.
    pub(super) async fn end(self) -> Option<String> {
        let ended = match self.ended {
            Some(ended) => ended,
            None => joined(self.following.await),
        };
        let how = match ended {
            Ok(exit) => told::by_itself(exit)?,
            Err(error) => format!("was lost ({error})"),
        };
        Some(told::meanwhile(&self.name, &how, &lock(&self.last)))
    }
}

/// Hands the service over and follows it to its end. Blocks.
fn follow(
    runner: Arc<Runner>,
    ground: &Ground,
    request: StepRequest,
    stop: StopSignal,
    tell: oneshot::Sender<OwnedFd>,
    mut log: ServiceLog,
) -> Result<Exit, ExecuteError> {
    let supervised = runner.begin(request, ground, Bounds::of_service(), stop)?;
    // The executor's end ends its launcher, and must not wait for this.
    drop(runner);
    let channel = supervised.channel.try_clone().map_err(|source| setup("keep a socket", source))?;
    // Whoever wanted it may have gone.
    let _ = tell.send(channel);
    let ended = supervise(supervised, &mut log);
    let exit = conclude(ended, ground.seen()).map(|ran| ran.ended.exit);
    log.end(exit.as_ref().ok().and_then(|exit| told::by_itself(*exit)).as_deref());
    exit
}

fn prepare(
    launch: ServiceLaunch,
    names: Vec<String>,
    scratch: &Path,
    owner: Option<u32>,
) -> Result<StepRequest, ExecuteError> {
    let inputs = scratch.join("inputs");
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&inputs)
        .and_then(|()| prepare_scratch(scratch, owner));
    made.map_err(|source| setup("prepare a service's scratch directory", source))?;
    let check = match launch.ready {
        Some(Ready { check: Check::Exec { command }, .. }) => command,
        _ => Vec::new(),
    };
    Ok(StepRequest {
        env: complete_image_env(launch.env, &launch.image.env),
        arguments: launch.arguments,
        working_directory: launch.working_directory,
        inputs,
        scratch: scratch.to_owned(),
        network: false,
        image: Some(launch.image),
        processes: 0,
        groups: 0,
        file_bytes: 0,
        secrets: launch.secrets,
        caches: Vec::new(),
        visit: None,
        company: Company { joins: true, names, check },
    })
}

/// The same, with the name of the service.
fn of_service(name: &str, error: &ExecuteError) -> ExecuteError {
    match error {
        ExecuteError::Setup { action, source } => {
            let action = format!("start the service '{name}' (to {action})");
            ExecuteError::Setup { action, source: std::io::Error::new(source.kind(), source.to_string()) }
        }
        other => setup(&format!("start the service '{name}'"), std::io::Error::other(other.to_string())),
    }
}

fn lock(last: &Mutex<LastLines>) -> MutexGuard<'_, LastLines> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
}
