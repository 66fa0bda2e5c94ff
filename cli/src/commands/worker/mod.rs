//! `cullet worker`.

mod name;
mod parts;
mod shared_volumes;
mod signals;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use cullet_cache::{LocalCache, StorageLimits, StorageServices, StoreError};
use cullet_worker::Room;
use cullet_worker::remote::{Daemon, DaemonConfig, Limits};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::args::WorkerArgs;
use crate::config::{Config, WorkerSettings};
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::images::WorkerImages;
use crate::metrics::{CacheMetrics, ProcessMetrics};
use crate::telemetry::Telemetry;
use parts::Machine;
use upkeep::Upkeep;

/// For threads that block, at the end: what they did is not needed any more.
const FAREWELL: Duration = Duration::from_secs(1);

/// Works for a cluster until a signal ends it.
pub(super) fn worker(args: &WorkerArgs, config: &Config) -> Result<ExitStatus, CliError> {
    diagnostics::start(
        Some(config.log.as_deref().unwrap_or("info")),
        args.log_format.unwrap_or(config.log_format),
    )?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let mut settings = config.worker(args, &host)?;
    let cache = cullet_cache::open(&settings.base.run_cache_options())?;
    if cache.disk.is_read_only() {
        return Err(StoreError::ReadOnly { path: settings.base.cache_dir }.into());
    }
    if args.name.is_none() {
        settings.name = name::default(&host, &settings.base.cache_dir)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::infra("cannot start").because(error))?;
    let ended = runtime.block_on(serve(&settings, &cache));
    runtime.shutdown_timeout(FAREWELL);
    ended
}

async fn serve(settings: &WorkerSettings, cache: &LocalCache) -> Result<ExitStatus, CliError> {
    let room = Room::default();
    let images = Arc::new(WorkerImages::new(&settings.base));
    let volumes = parts::volumes(settings);
    let upkeep = Upkeep::new(cache.clone(), Arc::clone(&images), volumes.clone(), room.clone());
    let machine = Machine::look(settings)?;
    let cannot_listen = |error| {
        CliError::infra(format!("cannot listen on {}", settings.listen))
            .because(error)
            .hint("name another address with --listen; with port 0 it is any that is free")
    };
    let listener = TcpListener::bind(settings.listen).await.map_err(cannot_listen)?;
    let bound = listener.local_addr().map_err(cannot_listen)?;
    let address = settings.advertise.clone().unwrap_or_else(|| format!("http://{bound}"));
    let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
    let (parts, tiers) = machine.parts(settings, cache, &address, (room, images, volumes.clone())).await?;
    let daemon = Daemon::new(identity(settings, &machine, &address), parts);
    let telemetry = Telemetry::start(&settings.base, "worker")?;
    let daemon = daemon.map_err(|error| CliError::usage(error.to_string()))?;
    let daemon = Arc::new(daemon.tracing(Telemetry::tracer(telemetry.as_ref())));
    daemon.add_metrics(Box::new(ProcessMetrics));
    daemon.add_metrics(Box::new(CacheMetrics { cache: cache.clone(), tiers }));
    tracing::info!(name = settings.name, %bound, address, data = %settings.base.cache_dir.display(), "listening");

    signals::listen(drain.clone(), Arc::clone(&daemon))
        .map_err(|error| CliError::infra("cannot listen for signals").because(error))?;
    tokio::spawn(upkeep.keep());
    let publishing = tokio::spawn(shared_volumes::publish(volumes.clone()));
    let serving = tokio::spawn({
        let (daemon, stop) = (Arc::clone(&daemon), stop.clone());
        let services = StorageServices::read_only(cache.blobs.clone(), StorageLimits::default());
        let blobs = Routes::new(services.storage()).add_service(services.byte_stream());
        async move { daemon.serve(listener, blobs, stop).await }
    });
    daemon.run(drain).await;
    publishing.abort();
    volumes.publish(shared_volumes::LAST).await;
    stop.cancel();
    // It ends because of that; what it could not do any more is nobody's loss.
    drop(tokio::time::timeout(FAREWELL, serving).await);
    Telemetry::finish(telemetry).await;
    Ok(ExitStatus::Success)
}

fn identity(settings: &WorkerSettings, machine: &Machine, address: &str) -> DaemonConfig {
    DaemonConfig {
        dial: cullet_proto::Dial::default(),
        name: settings.name.clone(),
        incarnation: crate::random::number().max(1),
        address: address.to_owned(),
        cpu_millis: machine.capacity.cpu_millis,
        memory_bytes: machine.capacity.memory_bytes,
        labels: machine.labels(settings),
        coordinators: settings.coordinators.clone(),
        limits: Limits { drain: settings.drain, ..Limits::default() },
    }
}
