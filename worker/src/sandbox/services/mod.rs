//! Services of a step: containers beside it, in one network with it.
//!
//! Each is what a step in an image is, with a first process of its own, and is followed by a thread of its own. They start
//! together; the step starts when all of them are ready; they are stopped when it has ended, whatever its end was.

mod beside;
mod checks;
mod log;
mod network;
mod told;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use futures_util::future::{select_all, try_join_all};
use tokio_util::sync::CancellationToken;

use self::beside::Beside;
use self::log::SharedLog;
pub(super) use self::network::Network;
use super::protocol::{StepRequest, Taken};
use super::runner::{Bounds, Ran, Runner, setup};
use super::supervise::Ended;
use crate::{ExecuteError, Exit, LogSink, ServiceLaunch};

/// The exit code of a step whose services did not become ready: what `docker run` answers when a container does not start.
const NOT_READY: i32 = 125;

/// The services of a step.
pub(super) struct Party {
    pub(super) runner: Arc<Runner>,
    /// The step's scratch directory. Theirs are below it.
    pub(super) scratch: PathBuf,
    /// At least one.
    pub(super) services: Vec<ServiceLaunch>,
}

/// Why the step does not begin.
enum NoStep {
    /// A service is to blame, in a sentence.
    NotReady(String),
    /// Somebody asked for its end.
    Cancelled,
    /// The machine is to blame.
    Trouble(ExecuteError),
}

/// Runs a step with its services, to the end of all. What is to be said of them comes with the step's own end.
pub(super) async fn run(
    party: Party,
    prepare: impl FnOnce() -> Result<StepRequest, ExecuteError> + Send + 'static,
    bounds: Bounds,
    log: Box<dyn LogSink>,
    cancel: CancellationToken,
) -> Result<(Ran, Vec<String>), ExecuteError> {
    let Party { runner, scratch, services } = party;
    let masker = services.first().map(|service| Arc::clone(&service.masker)).unwrap_or_default();
    let names: Vec<String> = services.iter().map(|service| service.name.clone()).collect();
    let room = runner.room(1 + services.len()).await?;
    let (making, limits) = (Arc::clone(&runner), bounds.limits);
    let made = blocking(move || {
        let request = prepare()?;
        let network = making.network()?;
        let mut ground = making.ground(room, limits)?;
        ground.network = Some(network);
        Ok((request, Arc::new(ground)))
    });
    let (mut request, ground) = made.await?;
    request.company.names.clone_from(&names);
    let (log, began, clock) = (SharedLog::new(log, masker), SystemTime::now(), Instant::now());
    let mut started = Vec::with_capacity(services.len());
    for (number, service) in services.into_iter().enumerate() {
        let scratch = scratch.join("services").join(number.to_string());
        started.push(Beside::start(&runner, &ground, service, &names, scratch, &log)?);
    }
    let outcome = match ready(&mut started, &cancel).await {
        Ok(()) => {
            let begin = Arc::clone(&ground);
            runner.follow(move || Ok((request, begin)), bounds, Box::new(log.clone()), cancel).await
        }
        Err(NoStep::Trouble(error)) => Err(error),
        Err(NoStep::NotReady(why)) => {
            stop(started).await;
            log.end();
            let ended = unbegun(Exit::Code(NOT_READY), began, clock);
            return Ok((Ran { ended, seen: ground.seen() }, vec![why]));
        }
        Err(NoStep::Cancelled) => {
            let ended = unbegun(Exit::Cancelled, began, clock);
            Ok(Ran { ended, seen: ground.seen() })
        }
    };
    let said = stop(started).await;
    log.end();
    outcome.map(|ran| (Ran { seen: ground.seen(), ..ran }, said))
}

fn unbegun(exit: Exit, began: SystemTime, clock: Instant) -> Ended {
    Ended { taken: Taken::default(), ..Ended::unseen(exit, began, clock.elapsed()) }
}

/// Until all services are ready, or one is not going to be.
async fn ready(services: &mut [Beside], cancel: &CancellationToken) -> Result<(), NoStep> {
    let (mut probes, mut ends) = (Vec::new(), Vec::new());
    for service in services {
        let (probe, end) = service.watch();
        probes.push(Box::pin(probe));
        ends.push(Box::pin(end));
    }
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(NoStep::Cancelled),
        (ended, ..) = select_all(ends) => Err(ended),
        ready = try_join_all(probes) => ready.map(drop).map_err(NoStep::NotReady),
    }
}

/// Stops all of them, and waits until nothing of them is left. What is to be said of those that had ended before.
async fn stop(services: Vec<Beside>) -> Vec<String> {
    services.iter().for_each(Beside::stop);
    let mut said = Vec::new();
    for service in services {
        said.extend(service.end().await);
    }
    said
}

/// Does it where waiting keeps nobody else from going on.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ExecuteError> + Send + 'static,
) -> Result<T, ExecuteError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| setup("prepare the services", std::io::Error::other(error)))?
}
