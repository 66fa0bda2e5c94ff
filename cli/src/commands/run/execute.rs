//! The session of a run, wired to this machine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use cullet_cache::{Backing, BlobStore, LocalCache, Scope, StoreError};
use cullet_coordinator::driver::DirectDriver;
use cullet_coordinator::event::{Event, EventSink as _, Note, RunEnd};
use cullet_coordinator::resolve::{Incompleteness, Resolver, describe};
use cullet_coordinator::session::{self, Capacity, SessionParts, StoreBehind};
use cullet_coordinator::submission::Submission;
use cullet_coordinator::workers::{Delivery, Workers};
use cullet_core::RunId;
use cullet_core::spec::RunSpec;
use cullet_digest::Digest;
use cullet_pipeline::plan::Limits;
use cullet_worker::attempt::{Stores, Worker, WorkerConfig};
use cullet_worker::host::HostTools;
use cullet_worker::{LocalFiles, Reclaim, SecretValues, StepLimits, VolumeEvents, Volumes};
use tokio::runtime::{Handle, Runtime};
use tokio_util::sync::CancellationToken;

use super::behind::{BackedInputs, Behind, Opened};
use super::deliver::{NoDelivery, OutputDir, Written};
use super::in_force::InForce;
use super::interrupt::Caught;
use super::lazy_executor::{LazyExecutor, Ready};
use super::local_workers::{LocalWorkers, step_limits};
use super::look::Nobody;
use super::prepare::{FUNCTION, Prepared};
use super::shared_volumes::BackedVolumes;
use super::sources::SourceBlobs;
use super::verify::Verifying;
use super::visits::Visits;
use super::watchers::Watchers;
use crate::commands::machine;
use crate::config::{Config, Executor, RunConfig};
use crate::error::CliError;
use crate::images::{LocalImages, SubIdHelper};
use crate::runtime;

/// What a run is executed on.
pub(super) struct Stage {
    runtime: Runtime,
    signals: Option<Caught>,
}

impl Stage {
    /// One from which on no signal ends the process before the run has heard of it.
    pub(super) fn set() -> Result<Self, CliError> {
        // One thread for the session and two for lookups; what blocks has threads of its own.
        let runtime = runtime::of_threads(3)?;
        let signals = runtime.block_on(async { Caught::from_now_on() });
        Ok(Self { runtime, signals })
    }
}

/// A run, ready to go.
pub(super) struct Execution<'a> {
    pub(super) config: &'a Config,
    pub(super) run_config: &'a RunConfig,
    /// What the pipeline's files and directories are relative to.
    pub(super) base: &'a Path,
    pub(super) cache: &'a LocalCache,
    /// What is behind it.
    pub(super) shared: Option<Opened>,
    pub(super) prepared: Prepared,
    pub(super) run: RunId,
    pub(super) submission: Submission,
    pub(super) capacity: Capacity,
    /// The kinds of limits that steps have: what is not 0.
    pub(super) limits: Limits,
    /// Not even a lease could be written: the disk of the cache, where steps would work, is full.
    pub(super) full: bool,
    /// What steps with an image run in.
    pub(super) images: Arc<LocalImages>,
    /// Who looks into steps.
    pub(super) visits: Option<Visits>,
    /// Which steps are executed twice.
    pub(super) verifying: Option<Verifying>,
    /// Whether nothing is executed.
    pub(super) looks: bool,
    /// Whether cache volumes are to be as they were.
    pub(super) leaves_nothing: bool,
    /// What steps get that nobody else may see.
    pub(super) secrets: Arc<dyn SecretValues>,
    /// Whether there are any.
    pub(super) has_secrets: bool,
    /// What steps find as others left it.
    pub(super) volumes: Volumes,
    /// Whose results these are, where they are not the usual ones of this machine.
    pub(super) scope: Option<&'a Scope>,
}

impl Execution<'_> {
    /// Executes the run to its end.
    pub(super) fn execute(
        self,
        stage: Stage,
        output: Option<Written>,
        watchers: Watchers,
    ) -> Result<RunEnd, CliError> {
        let end = stage.runtime.block_on(async {
            let cancel = CancellationToken::new();
            if let Some(signals) = stage.signals {
                signals.cancel(cancel.clone(), watchers.clone());
            }
            let (run, capacity) = (self.run, self.capacity);
            let (spec, parts) = self.parts(output, watchers);
            // As a task like the lookups and not on the calling thread: a step that waits for the one before
            // is then looked up by the thread that runs the session, without waking another.
            let session = tokio::spawn(session::run(run, spec, capacity, parts, cancel)).await;
            session
                .map_err(|error| CliError::infra("the run could not be decided").because(error))?
                .map_err(|error| CliError::infra("the run could not be decided").because(error))
        });
        // A blocked thread that nobody waits for must not hold up the end.
        stage.runtime.shutdown_background();
        end
    }

    /// On a thread of the runtime.
    fn parts(mut self, output: Option<Written>, watchers: Watchers) -> (RunSpec, SessionParts<DirectDriver>) {
        let cache = self.cache;
        let sources = self.prepared.sources.clone();
        let shared = self.shared.take();
        let backing = shared
            .and_then(|shared| shared.behind((cache, &self.config.cache_dir), &watchers, &Handle::current()));
        if let Some(backing) = &backing {
            backing.recall(&self.submission.spec.pipeline, &Handle::current());
            self.volumes.share(Arc::new(BackedVolumes::of(backing)));
        }
        let backed = backing.clone().map(|backing| {
            Arc::new(BackedInputs { disk: cache.disk.clone(), sources: sources.clone(), backing })
        });
        let behind = backed.as_ref().map(|backed| backed.blobs());
        let blobs: Arc<dyn BlobStore> =
            Arc::new(SourceBlobs { sources: sources.clone(), cache: cache.blobs.clone(), behind });
        let actions = backing.as_ref().map_or_else(|| cache.actions.clone(), Backing::actions);
        let files: Arc<dyn LocalFiles> = match &backed {
            Some(backed) => backed.clone(),
            None => cache.disk.clone(),
        };
        let stores =
            Stores { blobs: blobs.clone(), actions: actions.clone(), files, sources: Arc::new(sources) };
        let delivery: Arc<dyn Delivery> = match output {
            Some(written) => {
                let images = self.images.exporter(self.base);
                let (blobs, disk) = (blobs.clone(), cache.disk.clone());
                Arc::new(OutputDir { written, blobs, disk, behind: backing.clone(), images })
            }
            None => Arc::new(NoDelivery),
        };
        let workers: Arc<dyn Workers> = if self.looks {
            Arc::new(Nobody)
        } else {
            Arc::new(self.workers((stores, backed), blobs.clone(), watchers.clone()))
        };
        let Submission { spec, templates } = self.submission;
        let templates = Arc::new(templates);
        let incompleteness = incompleteness(cache, backing.clone());
        let resolver = Resolver::new(FUNCTION, blobs, actions, templates.clone(), incompleteness);
        let behind = backing
            .map(|backing| Behind { backing, volumes: self.volumes.clone(), watchers: watchers.clone() })
            .map(|behind| Arc::new(behind) as Arc<dyn StoreBehind>);
        let parts = SessionParts {
            driver: DirectDriver::default(),
            resolver: Arc::new(resolver),
            templates,
            workers,
            delivery,
            behind,
            events: Box::new(watchers),
        };
        (spec, parts)
    }

    fn workers(
        &self,
        (stores, backed): (Stores, Option<Arc<BackedInputs>>),
        blobs: Arc<dyn BlobStore>,
        watchers: Watchers,
    ) -> LocalWorkers {
        let choice = self.run_config.executor;
        let seen = self.has_secrets.then_some(machine::SECRETS_IN_CONTAINERS);
        let limits = step_limits(self.limits).or_else(self.run_config.limits);
        let executor = executor(choice, &self.prepared.tools, self.config, (limits, seen), watchers);
        let images = InForce { choice, executor: Arc::clone(&executor), images: Arc::clone(&self.images) };
        let worker_config = WorkerConfig {
            owner: self.config.step_owner(),
            images: Arc::new(images),
            secrets: Arc::clone(&self.secrets),
            limits: self.run_config.limits,
            volumes: choice.has_volumes().then(|| self.volumes.clone()),
            ..WorkerConfig::new(WORKER, self.config.cache_dir.join("work"))
        };
        let (full, read_only) = (self.full, self.cache.disk.is_read_only());
        let cache_dir = self.config.cache_dir.clone();
        let make = move || {
            if full {
                return Err(StoreError::NoSpace { path: cache_dir }.to_string());
            }
            let reclaim = SubIdHelper::find().map(|helper| helper as Arc<dyn Reclaim>);
            Worker::new(WorkerConfig { reclaim, ..worker_config }, executor, stores).map_err(|error| {
                match read_only {
                    true => StoreError::ReadOnly { path: cache_dir }.to_string(),
                    false => describe(&error),
                }
            })
        };
        let extras = (self.visits.clone(), self.verifying.clone(), backed);
        let pipeline = &*self.submission.spec.pipeline;
        let owner = self.scope.map_or_else(|| pipeline.to_owned(), |scope| scope.apart(pipeline));
        let workers = LocalWorkers::new(make, blobs, (WORKER, &owner, pipeline), extras);
        if self.leaves_nothing { workers.with_empty_volumes() } else { workers }
    }
}

/// Tells whoever watches the run what becomes of volumes.
#[derive(Debug)]
pub(super) struct CacheNotes(pub(super) Watchers);

impl VolumeEvents for CacheNotes {
    fn tell(&self, step: &str, is_warning: bool, text: String) {
        let level = if is_warning { "warning" } else { "info" }.to_owned();
        let (kind, step) = (Some(Note::CACHE.to_owned()), Some(step.to_owned()));
        self.0.clone().event(&Event::Note(Note { level, kind, step, text }));
    }
}

/// Which results the cache found incomplete. Each is asked for once, right after it was found.
fn incompleteness(cache: &LocalCache, backing: Option<Backing>) -> Incompleteness {
    if let Some(backing) = backing {
        return Arc::new(move |action| backing.missing_of(action));
    }
    let cache = cache.clone();
    let found: Mutex<BTreeMap<Digest, usize>> = Mutex::default();
    Arc::new(move |action| {
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = cache.take_incomplete();
        found.extend(fresh.into_iter().map(|result| (result.action, result.missing.len())));
        found.remove(action)
    })
}

/// The only worker's name. Not the host's: results are the same on every machine.
const WORKER: &str = "local";

/// An executor that is started when it is needed. A sandbox that is weaker than documented is used, but not in silence.
fn executor(
    choice: Executor,
    tools: &HostTools,
    config: &Config,
    (limits, of_secrets): (StepLimits, Option<&'static str>),
    watchers: Watchers,
) -> Arc<LazyExecutor> {
    let (tools, config) = (tools.clone(), config.clone());
    let start = move || {
        let started = machine::start(choice, tools.clone(), &config, &limits)?;
        let say = |level: &str, text: String| {
            let level = level.to_owned();
            watchers.clone().event(&Event::Note(Note { level, kind: None, step: None, text }));
        };
        started.weakness.into_iter().chain(started.unenforced).for_each(|text| say("warning", text));
        let engine = started.docker.map(|(engine, text)| {
            say("info", text);
            of_secrets.into_iter().for_each(|text| say("warning", text.to_owned()));
            engine
        });
        Ok(Ready { executor: started.executor, engine })
    };
    Arc::new(LazyExecutor::new(machine::name(choice), Box::new(start)))
}
