//! What a worker is made of: this machine, its disk, and the way to the blobs of the cluster.

use std::collections::BTreeMap;
use std::sync::Arc;

use cullet_cache::action::PLAIN;
use cullet_cache::{
    GrpcOptions, GrpcStore, LocalCache, NoPeers, ObjectOptions, SharedBlobs, SharedCache, SigningKey, Tiers,
    TiersOptions,
};
use cullet_coordinator::images::LABEL;
use cullet_coordinator::session::Capacity;
use cullet_worker::docker::Engine;
use cullet_worker::remote::{DaemonParts, Neighbours, TieredFiles};
use cullet_worker::sandbox::{Fact, SandboxReport, Tier};
use cullet_worker::{
    InUse, NoSourceFiles, Reclaim, Room, SpaceWatching, StepExecutor, Stores, VolumeEvents, Volumes, Worker,
    WorkerConfig,
};
use tokio::runtime::Handle;

use super::shared_volumes::StoreVolumes;
use crate::commands::machine;
use crate::commands::run::prepare;
use crate::config::{Executor, WorkerSettings};
use crate::error::CliError;
use crate::images::{SubIdHelper, WorkerImages};
use crate::secrets::WorkerSecrets;
use crate::shared_store;

/// This machine, as far as steps have to do with it.
pub(super) struct Machine {
    pub(super) capacity: Capacity,
    executor: Arc<dyn StepExecutor>,
    /// Whether steps can run in images.
    images: bool,
    /// The digest of its software.
    fingerprint: String,
    /// Where steps run in containers.
    engine: Option<Engine>,
}

impl Machine {
    /// Looks at the machine, and starts the executor. Where there can be no sandbox this is an error now, not one of
    /// every step later.
    pub(super) fn look(settings: &WorkerSettings) -> Result<Self, CliError> {
        let WorkerSettings { base, executor, .. } = settings;
        let (tools, fingerprint) = prepare::look(base);
        let is_sandbox = matches!(executor, Executor::Auto | Executor::Sandbox);
        let sandbox = is_sandbox.then(|| machine::sandbox(base));
        let choice = match sandbox.as_ref().map(|sandbox| &sandbox.tier) {
            Some(Tier::Unavailable { reason }) => instead_of_the_sandbox(*executor, reason)?,
            Some(_) => Executor::Sandbox,
            None => *executor,
        };
        let no_images = sandbox.as_ref().and_then(SandboxReport::no_images);
        if let Some(Fact { why, remedy, .. }) = no_images.filter(|_| choice == Executor::Sandbox) {
            let remedy = remedy.as_deref().unwrap_or_default();
            tracing::warn!("takes no steps in images, which cannot run here: {why}. {remedy}");
        }
        let started = machine::start(choice, tools, base, &machine::ALL_LIMITS).map_err(|error| {
            CliError::infra(format!("the {} executor cannot start", machine::name(choice))).because(error)
        })?;
        if choice == Executor::Plain {
            tracing::warn!("{}", machine::NO_CACHES);
        }
        if let Some(weakness) = started.weakness {
            tracing::warn!("{weakness}");
        }
        for text in &started.unenforced {
            tracing::warn!("{text}");
        }
        let engine = started.docker.map(|(engine, text)| {
            tracing::info!("{text}; takes steps in images only");
            if settings.secrets.is_some() || base.secrets.provider_names().next().is_some() {
                tracing::warn!("{}", machine::SECRETS_IN_CONTAINERS);
            }
            engine
        });
        Ok(Self {
            capacity: machine::capacity(settings.cpu_millis, settings.memory_bytes),
            executor: started.executor.into(),
            images: engine.is_some() || (sandbox.is_some() && no_images.is_none()),
            fingerprint,
            engine,
        })
    }

    /// What the machine is, in the terms in which steps ask for it.
    pub(super) fn labels(&self, settings: &WorkerSettings) -> BTreeMap<String, String> {
        let own =
            [("Arch", std::env::consts::ARCH.to_owned()), ("OSFamily", std::env::consts::OS.to_owned())];
        // No container has the machine's own software.
        let software = self.engine.is_none().then(|| ("image", format!("host:{}", self.fingerprint)));
        let own = own.into_iter().chain(software);
        let mut labels = settings.labels.clone();
        labels.extend(own.map(|(label, value)| (label.to_owned(), value)));
        if settings.executor == Executor::Plain {
            labels.insert(PLAIN.0.to_owned(), PLAIN.1.to_owned());
        }
        if self.images {
            labels.insert(LABEL.0.to_owned(), LABEL.1.to_owned());
        }
        labels
    }

    /// Puts the worker together. Steps run on the disk of the cache, in front of other workers and the shared
    /// store: these tiers are given as well.
    pub(super) async fn parts(
        &self,
        settings: &WorkerSettings,
        cache: &LocalCache,
        address: &str,
        (room, images, volumes): (Room, Arc<WorkerImages>, Volumes),
    ) -> Result<(DaemonParts, Tiers), CliError> {
        self.engine.iter().for_each(|engine| images.are_in(engine.clone()));
        let spool = settings.base.cache_dir.join("spool");
        let signing = settings.signing_key.as_deref().map(SigningKey::read).transpose();
        let signing = signing.map_err(|error| CliError::usage("--signing-key").because(error))?;
        let shared: Arc<dyn SharedBlobs> = match shared(settings, &spool).await? {
            Some(cache) => {
                let trusted = settings.base.trust(None).trusted;
                let objects = cache.objects.clone();
                volumes.share(Arc::new(StoreVolumes { cache, signing: signing.clone(), trusted }));
                objects
            }
            None => {
                volumes.share_nothing("this worker has no --store of its own");
                Arc::new(GrpcStore::connect(&settings.coordinators, &GrpcOptions::new(&spool))?)
            }
        };
        let (options, runtime) = (TiersOptions::default(), Handle::current());
        // Who has what is known of inputs only, and said with each step.
        let tiers = Tiers::new(cache.disk.clone(), Arc::new(NoPeers), shared, &options, runtime)?;
        let stores = Stores {
            blobs: Arc::new(tiers.clone()),
            actions: cache.actions.clone(),
            files: Arc::new(TieredFiles { disk: cache.disk.clone(), tiers: tiers.clone() }),
            sources: Arc::new(NoSourceFiles),
        };
        let secrets = WorkerSecrets::new(settings.secrets.clone(), &settings.base.secrets, &settings.name)?;
        let config = WorkerConfig {
            owner: settings.base.step_owner(),
            images,
            secrets: Arc::new(secrets),
            limits: settings.limits,
            reclaim: reclaim(),
            volumes: settings.executor.has_volumes().then_some(volumes),
            ..WorkerConfig::new(&settings.name, settings.base.cache_dir.join("work"))
        };
        let executor = Arc::new(SpaceWatching::new(Arc::clone(&self.executor), room.clone()));
        let worker = Worker::new(config, executor, stores)
            .map_err(|error| CliError::infra("steps cannot run here").because(error))?;
        if let Some(key) = &signing {
            tracing::info!(key = %key.public(), "signs results");
        }
        let parts = DaemonParts {
            worker: Arc::new(worker),
            blobs: Arc::new(tiers.clone()),
            exchange: Arc::new(Neighbours::new(tiers.clone(), address, spool)),
            in_use: InUse::of(cache.disk.clone()),
            room,
            signing,
        };
        Ok((parts, tiers))
    }
}

/// Where the machine allows no sandbox: Docker, if any way was asked for.
fn instead_of_the_sandbox(asked: Executor, reason: &str) -> Result<Executor, CliError> {
    if asked == Executor::Auto {
        return Ok(Executor::Auto);
    }
    Err(CliError::infra(format!("this machine allows no sandbox: {reason}"))
        .hint("`cullet doctor` looks again; with --executor plain, steps see the whole machine"))
}

/// Who takes back what steps give to sub-ids.
fn reclaim() -> Option<Arc<dyn Reclaim>> {
    SubIdHelper::find().map(|helper| helper as Arc<dyn Reclaim>)
}

/// The volumes of steps.
pub(super) fn volumes(settings: &WorkerSettings) -> Volumes {
    settings.base.volumes(Arc::new(Logged))
}

/// What becomes of volumes, in the log.
#[derive(Debug)]
struct Logged;

impl VolumeEvents for Logged {
    fn tell(&self, step: &str, is_warning: bool, text: String) {
        if is_warning {
            tracing::warn!(step, "{text}");
        } else {
            tracing::info!(step, "{text}");
        }
    }
}

/// The shared store at its location. None where it is asked through the coordinators.
async fn shared(settings: &WorkerSettings, spool: &std::path::Path) -> Result<Option<SharedCache>, CliError> {
    let Some(location) = &settings.store else { return Ok(None) };
    let variables = settings.base.store.variables.clone();
    let options = ObjectOptions { variables, ..ObjectOptions::new(spool) };
    let unusable = |error: cullet_cache::StoreError| {
        CliError::infra(format!("the shared store {location} cannot be used")).because(error).hint(
            "--store (or CULLET_STORE) has to be the one of the coordinators; variables AWS_*, GOOGLE_* or AZURE_* reach a bucket",
        )
    };
    let shared =
        shared_store::open(location, &options, &settings.base.registries).map_err(|error| match error {
            cullet_cache::StoreError::Location { .. } => CliError::usage(error.to_string()),
            error => unusable(error),
        })?;
    shared.probe().await.map_err(unusable)?;
    Ok(Some(shared))
}
