//! A step in a container, from its start to the end of its last process.

use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

use bollard::errors::Error as ClientError;
use bollard::models::ContainerWaitResponse;
use bollard::query_parameters::WaitContainerOptionsBuilder;
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::EngineError;
use super::container::Container;
use super::said::Listening;
use super::usage::Watching;
use crate::stopping::{Stop, Stopping};
use crate::{ExecuteError, Exit, LogSink, Usage};

/// How long a container that was killed may take to end, and what it printed to arrive: both take milliseconds.
const FAREWELL: Duration = Duration::from_secs(30);

/// What is done with a step.
pub(super) const FOLLOWING: &str = "follow the step to its end";

/// What is to be followed, and for how long.
pub(super) struct Bounds {
    pub(super) timeout: Duration,
    pub(super) grace: Duration,
}

/// A step that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    pub(super) started_at: SystemTime,
    pub(super) duration: Duration,
    pub(super) usage: Usage,
    pub(super) out_of_memory: u64,
}

impl Ended {
    /// What never ran.
    pub(super) fn unseen(exit: Exit) -> Self {
        let (started_at, duration, usage) = (SystemTime::now(), Duration::ZERO, Usage::default());
        Self { exit, started_at, duration, usage, out_of_memory: 0 }
    }
}

/// Starts the container, whose program is `name`, and follows it to its end. `started` is called when it was started.
pub(super) async fn follow(
    container: &Container,
    name: &str,
    bounds: Bounds,
    started: impl FnOnce(),
    log: Box<dyn LogSink>,
    cancel: &CancellationToken,
) -> Result<Ended, ExecuteError> {
    // Before it is started, so that nothing of what it prints is missed.
    let attached = container.attach().await?;
    let listening = Listening::start(attached.output, log);
    let started_at = SystemTime::now();
    container.start().await?;
    started();
    let clock = Instant::now();
    let watching = Watching::start(container);
    let mut stopping = Stopping::new(clock, bounds.timeout, bounds.grace);
    let code = wait(container, &mut stopping, cancel).await?;
    let duration = clock.elapsed();
    let usage = watching.seen();
    drop(watching);
    let state = container
        .engine
        .ask("say how the container ended", container.engine.client().inspect_container(&container.id, None));
    let state = state.await?.state.unwrap_or_default();
    let code = i32::try_from(code).unwrap_or(i32::MAX);
    let heard = tokio::time::timeout(FAREWELL.max(duration), listening.finish(name, Exit::Code(code))).await;
    let exit = match heard {
        Ok(Ok(exit)) => exit,
        Ok(Err(said)) => return Err(broke_off(container, &said).into()),
        Err(_) => return Err(broke_off(container, "it did not send what the step printed last").into()),
    };
    Ok(Ended {
        exit: stopping.verdict().unwrap_or(exit),
        started_at,
        duration,
        usage,
        out_of_memory: u64::from(state.oom_killed.unwrap_or_default()),
    })
}

fn broke_off(container: &Container, said: &str) -> EngineError {
    container.engine.broke_off(FOLLOWING, said)
}

/// The exit code of the container, which is told to end when its time is over or nobody wants it any more.
async fn wait(
    container: &Container,
    stopping: &mut Stopping,
    cancel: &CancellationToken,
) -> Result<i64, EngineError> {
    let options = WaitContainerOptionsBuilder::default().condition("not-running").build();
    let mut ends = Box::pin(container.engine.client().wait_container(&container.id, Some(options)));
    let ended = until_ended(container, stopping, cancel, FOLLOWING, ends.next()).await?;
    code(container, ended)
}

/// Waits for `ends`, and sees to it that it comes: the container is told to end when its time is over or nobody wants it any
/// more, and killed when it does not. `action` is what cannot be done where that does not end it either.
pub(super) async fn until_ended<T>(
    container: &Container,
    stopping: &mut Stopping,
    cancel: &CancellationToken,
    action: &str,
    ends: impl Future<Output = T>,
) -> Result<T, EngineError> {
    let mut ends = pin!(ends);
    let mut last: Option<Instant> = None;
    loop {
        let now = Instant::now();
        let patience = match last {
            Some(killed) => FAREWELL.saturating_sub(now.saturating_duration_since(killed)),
            None => stopping.nap(now),
        };
        tokio::select! {
            ended = &mut ends => return Ok(ended),
            () = cancel.cancelled(), if stopping.verdict().is_none() => {}
            () = tokio::time::sleep(patience) => {}
        }
        match stopping.next(Instant::now(), cancel.is_cancelled()) {
            Some(Stop::Ask) => container.kill("SIGTERM").await,
            Some(Stop::Kill) => {
                container.kill("SIGKILL").await;
                last = Some(Instant::now());
            }
            None if last.is_some_and(|killed| killed.elapsed() >= FAREWELL) => {
                return Err(container.engine.broke_off(action, "a container that was killed did not end"));
            }
            None => {}
        }
    }
}

fn said(end: &ContainerWaitResponse) -> &str {
    end.error.as_ref().and_then(|error| error.message.as_deref()).unwrap_or_default()
}

fn code(
    container: &Container,
    ended: Option<Result<ContainerWaitResponse, ClientError>>,
) -> Result<i64, EngineError> {
    match ended {
        Some(Ok(end)) if end.status_code >= 0 && said(&end).is_empty() => Ok(end.status_code),
        Some(Ok(end)) => Err(broke_off(container, &format!("it does not know how: {}", said(&end)))),
        Some(Err(ClientError::DockerContainerWaitError { code, error })) if error.is_empty() => Ok(code),
        Some(Err(error)) => Err(container.engine.error(FOLLOWING, &error)),
        None => Err(broke_off(container, "it went away")),
    }
}
