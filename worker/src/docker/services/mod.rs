//! Services of a step: containers beside it, in one network with it, which a container that does nothing holds.

mod beside;
mod checks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::beside::Beside;
use super::Engine;
use crate::services::{NoStep, STARTING, SharedLog, all_ready};
use crate::{Launch, ServiceLaunch, StepLimits};

/// What the containers of services are made with.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) engine: Engine,
    /// Whose network they have.
    pub(super) holder: String,
    /// Files of this machine, and where they are to be seen.
    pub(super) shown: Vec<(PathBuf, String)>,
    /// The step's scratch directory. Theirs are below it.
    pub(super) scratch: PathBuf,
    /// How long one has to react to SIGTERM before it is killed.
    pub(super) grace: Duration,
    /// Of the step.
    pub(super) limits: StepLimits,
    /// How long the step and its services are there, at most.
    pub(super) needed: Duration,
}

/// Those of a step. Dropping them stops them, without waiting for that.
pub(super) struct Services {
    started: Vec<Beside>,
    log: SharedLog,
}

/// What is to be said of services that have ended.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Of those that did not last as long as the step.
    pub(super) sentences: Vec<String>,
    pub(super) out_of_memory: u64,
}

/// How long a step and its services are there, at most.
pub(super) fn needed(launch: &Launch) -> Duration {
    let timeout = |service: &ServiceLaunch| service.ready.as_ref().map_or(STARTING, |ready| ready.timeout());
    let longest = launch.services.iter().map(timeout).max().unwrap_or_default();
    launch.timeout.saturating_add(longest)
}

impl Services {
    /// Starts all of them; none is waited for.
    pub(super) fn start(ground: Ground, launches: &[ServiceLaunch], log: SharedLog) -> Self {
        let ground = Arc::new(ground);
        let start = |(number, launch): (usize, &ServiceLaunch)| {
            let scratch = ground.scratch.join("services").join(number.to_string());
            Beside::start(&ground, launch.clone(), scratch, &log)
        };
        let started = launches.iter().enumerate().map(start).collect();
        Self { started, log }
    }

    /// Until all are ready, or one is not going to be.
    pub(super) async fn ready(&mut self, cancel: &CancellationToken) -> Result<(), NoStep> {
        let (probes, ends) = self.started.iter_mut().map(Beside::watch).unzip();
        all_ready::<_, _>(probes, ends, cancel).await
    }

    /// Stops all of them, and waits until nothing of them is left.
    pub(super) async fn stop(self) -> Told {
        self.started.iter().for_each(Beside::stop);
        let mut told = Told::default();
        for service in self.started {
            let (sentence, out_of_memory) = service.end().await;
            told.sentences.extend(sentence);
            told.out_of_memory += out_of_memory;
        }
        self.log.end();
        told
    }
}
