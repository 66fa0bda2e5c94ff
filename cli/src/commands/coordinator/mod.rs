//! `cullet coordinator`.

mod collector;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cullet_cache::collect::{self, UsedResults};
use cullet_cache::objects::Collectable;
use cullet_cache::{Location, ObjectOptions, RecentBlobs, StorageLimits, StorageServices};
use cullet_coordinator::cluster::{FormError, Formation, Seat};
use cullet_coordinator::engine::{Engine, EngineConfig, EngineParts, StoredResults, SystemClock};
use cullet_coordinator::policy::Policy;
use cullet_coordinator::raft::Timing;
use cullet_coordinator::services::{NamedInstances, keep_health, routes};
use cullet_core::Settings;
use cullet_worker::incoming::{allow_files, bounded, places};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use self::collector::{CollectMetrics, Counts, StoreCollector};
use crate::args::CoordinatorArgs;
use crate::config::{self, Config};
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::metrics::ProcessMetrics;
use crate::shared_store;
use crate::telemetry::Telemetry;

/// A connection that is silent for this long is asked whether it is there, and is closed if it does not say so in
/// time: half-open ones must not pile up.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Threads, at least. While a large submission is applied, those who read the state wait, each on a thread; raft must not
/// wait with them.
const LEAST_THREADS: usize = 4;

/// Until a coordinator whose disk was full tries again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long calls may go on that were begun before the disk was full.
const LETTING_GO: Duration = Duration::from_secs(60);

/// Open calls on one connection. A client that wants more opens another.
const STREAMS: u32 = 1024;

/// Connections that may wait to be accepted; the kernel allows fewer where `net.core.somaxconn` says so.
const BACKLOG: u32 = 16_384;

/// Serves until a signal ends it.
pub(super) fn coordinator(args: &CoordinatorArgs, config: &Config) -> Result<ExitStatus, CliError> {
    diagnostics::start(
        Some(config.log.as_deref().unwrap_or("info,openraft=error")),
        args.log_format.unwrap_or(config.log_format),
    )?;
    allow_files();
    if args.expect == 0 {
        return Err(CliError::usage("--expect 0: a cluster has at least one coordinator"));
    }
    if args.expect > 1 && args.peers.is_empty() {
        let hint = "name the others with --peer URL, each of them on each of them";
        return Err(CliError::usage(format!("--expect {} without any --peer", args.expect)).hint(hint));
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let (settings, policy) = (settings(args)?, policy(args)?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.max(LEAST_THREADS))
        .enable_all()
        .build()
        .map_err(|error| CliError::infra("cannot start").because(error))?;
    let store = location(args, config)?;
    runtime.block_on(serve(args, config, &store, (settings, policy)))
}

/// Where the blobs of the cluster are.
fn location(args: &CoordinatorArgs, config: &Config) -> Result<String, CliError> {
    if let Some(location) = args.store.clone().or_else(|| config.store.location.clone()) {
        return Ok(location);
    }
    if args.peers.is_empty() {
        return Ok(args.data.join("store").to_string_lossy().into_owned());
    }
    let hint = "name a directory that all coordinators share, a bucket (s3://BUCKET/PREFIX, gs://, az://) or \
         oci://HOST/REPOSITORY, with --store or CULLET_STORE";
    Err(CliError::usage("coordinators that work together need a store that all of them can reach").hint(hint))
}

/// A store whose garbage is collected, and which of its results this coordinator has used.
type Collected = Option<(Arc<dyn Collectable>, Arc<UsedResults>)>;

/// What the coordinator reads and writes besides its log, what it serves of it, and what is to be collected.
async fn open_store(
    args: &CoordinatorArgs,
    config: &Config,
    location: &str,
    policy: &Policy,
) -> Result<(EngineParts, StorageServices, Collected), CliError> {
    let spool = args.data.join("spool");
    // It stores small blobs for all clients of the cluster.
    let options = ObjectOptions {
        variables: config.store.variables.clone(),
        write_ahead: true,
        ..ObjectOptions::new(&spool)
    };
    let cache = shared_store::open(location, &options, &config.registries)?;
    let unusable = |error: cullet_cache::StoreError| {
        CliError::infra(format!("the store {location} cannot be used"))
            .because(error)
            .hint("look at its name, its permissions and the variables AWS_*, GOOGLE_* or AZURE_*")
    };
    cache.probe().await.map_err(unusable)?;
    let limits = StorageLimits { instances: Arc::new(NamedInstances), ..StorageLimits::default() };
    let served = Arc::new(RecentBlobs::new(cache.blobs.clone()));
    let services = StorageServices::read_write(served, &spool.join("uploads"), limits)?;
    let services = services.streaming(cache.streams());
    let place = location.parse()?;
    let services = if matches!(place, Location::Directory(_)) { services.writing_back() } else { services };
    let collected: Collected = match place {
        Location::Directory(_) | Location::Registry(_) => None,
        _ => Some((collect::open(location, &options)?, Arc::default())),
    };
    let cache = match &collected {
        Some((_, used)) => cache.noting(used),
        None => cache,
    };
    let (blobs, completeness) = (cache.blobs.clone(), cache.completeness.clone());
    let results = Arc::new(StoredResults { cache, trusted: policy.workers.asked() });
    Ok((EngineParts { blobs, results, completeness, clock: Arc::new(SystemClock) }, services, collected))
}

/// Who may do what, and who is believed.
fn policy(args: &CoordinatorArgs) -> Result<Policy, CliError> {
    args.trust.as_deref().map_or_else(|| Ok(Policy::default()), config::policy)
}

/// What a cluster asks for that one machine does not. A step that no worker can run waits a little, because one may be
/// about to come back.
fn settings(args: &CoordinatorArgs) -> Result<Settings, CliError> {
    let settings = Settings {
        placement_grace_ms: args.placement_grace.as_millis() as u64,
        absence_grace_ms: args.absence_grace.as_millis() as u64,
        shun_grace_ms: args.shun_grace.as_millis() as u64,
        ..Settings::default()
    };
    args.limits.limit(settings).map_err(CliError::usage)
}

async fn serve(
    args: &CoordinatorArgs,
    config: &Config,
    store: &str,
    (settings, policy): (Settings, Policy),
) -> Result<ExitStatus, CliError> {
    std::fs::create_dir_all(&args.data).map_err(|error| {
        CliError::infra(format!("cannot make the directory {}", args.data.display())).because(error)
    })?;
    let (parts, storage, collected) = open_store(args, config, store, &policy).await?;
    let cannot_listen = |error| {
        CliError::infra(format!("cannot listen on {}", args.listen))
            .because(error)
            .hint("name another address with --listen")
    };
    let listener = listen(args.listen).map_err(cannot_listen)?;
    let bound = listener.local_addr().map_err(cannot_listen)?;
    let address = args.advertise.clone().unwrap_or_else(|| format!("http://{bound}"));
    let seat = Arc::new(Seat::new(crate::random::number().max(1), address.clone()));
    tracing::info!(%bound, address, data = %args.data.display(), "listening");
    let stop = CancellationToken::new();
    let leads = EngineConfig {
        lease: args.lease,
        settings: Some(settings),
        policy: Arc::new(policy),
        audit_share: args.audit_share,
    };
    let telemetry = Telemetry::start(config, "coordinator")?;
    let engine = Engine::new(Arc::clone(&seat), parts, leads).tracing(Telemetry::tracer(telemetry.as_ref()));
    engine.metrics().add(Box::new(ProcessMetrics));
    let counts = Arc::<Counts>::default();
    engine.metrics().add(Box::new(CollectMetrics(Arc::clone(&counts))));
    if let Some((store, used)) = collected {
        let (policy, seat) = (args.keeps.policy(), Arc::clone(&seat));
        tokio::spawn(StoreCollector { store, policy, used, seat, counts }.run());
    }
    let (routes, health) = routes(&engine, &storage);
    tokio::spawn(keep_health(Arc::clone(&seat), health));
    tokio::spawn(async move { engine.run().await });
    // Plain HTTP has no pings: whoever follows a run and is gone is noticed by the kernel.
    let incoming = TcpIncoming::from(listener)
        .with_nodelay(Some(true))
        .with_keepalive(Some(KEEPALIVE))
        .with_keepalive_interval(Some(KEEPALIVE))
        .with_keepalive_retries(Some(3));
    let incoming = bounded(incoming, places());
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(Some(STREAMS))
        .accept_http1(true)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    let server = tokio::spawn(server);
    let ended = run(args, &seat).await;
    if let Some(node) = seat.node() {
        node.shutdown().await;
    }
    stop.cancel();
    // Streams of other coordinators do not end by themselves.
    drop(tokio::time::timeout(Duration::from_secs(1), server).await);
    Telemetry::finish(telemetry).await;
    ended
}

/// Listens there, with room for many that come at once: a connection more than that is reset.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Not taken from another process that listens there; only what is left of one that ended is no obstacle.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Takes the seat and keeps it until a signal comes or the disk fails.
async fn run(args: &CoordinatorArgs, seat: &Arc<Seat>) -> Result<ExitStatus, CliError> {
    let formation = Formation {
        dir: args.data.join("raft"),
        peers: args.peers.clone(),
        expect: args.expect,
        timing: Timing::default(),
    };
    let failed = watch::Sender::new(None);
    let signals = signals().map_err(|error| CliError::infra("cannot listen for signals").because(error))?;
    tokio::select! {
        () = signals => Ok(ExitStatus::Success),
        ended = take_part(&formation, seat, &failed) => ended,
    }
}

/// Takes part for as long as the disk lets it. A full disk ends its part until there is space again; any other failure
/// of the disk ends it for good.
async fn take_part(
    formation: &Formation,
    seat: &Arc<Seat>,
    failed: &watch::Sender<Option<String>>,
) -> Result<ExitStatus, CliError> {
    let mut left_at: Option<Instant> = None;
    loop {
        match formation.form(seat, failed.clone()).await {
            Ok(()) => {}
            // Calls that are still being answered hold what was there before.
            Err(error) if error.is_in_use() && left_at.is_some_and(|left| left.elapsed() < LETTING_GO) => {
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Err(FormError::Removed) => return stay_out(seat).await,
            Err(error) => return Err(CliError::infra("this coordinator cannot start").because(error)),
        }
        let cluster = seat.cluster().map(|cluster| cluster.to_string()).unwrap_or_default();
        tracing::info!(id = %hex(seat.id()), cluster, "member of the cluster");
        let Some(node) = seat.node() else { continue };
        let mut failures = failed.subscribe();
        // Raft learns of a failure only when it writes: one that only receives snapshots would go on refusing them.
        let reason = tokio::select! {
            reason = node.stopped() => reason,
            () = node.removal() => return stay_out(seat).await,
            _ = failures.wait_for(Option::is_some) => "the disk failed".to_owned(),
        };
        drop(node);
        if let Some(problem) = &*failed.borrow() {
            return Err(CliError::infra(format!("the log cannot be written any more: {problem}"))
                .hint("nothing that was acknowledged is lost: mend the disk and start it again"));
        }
        tracing::error!(reason, "takes no part until the disk has space again");
        if let Some(node) = seat.leave_for_the_disk(reason) {
            node.shutdown().await;
        }
        left_at = Some(Instant::now());
        tokio::time::sleep(AGAIN).await;
    }
}

/// The cluster has removed this coordinator. It only says so to whoever asks, until a signal comes: ended, it would be
/// started again for nothing where something keeps it running.
async fn stay_out(seat: &Seat) -> Result<ExitStatus, CliError> {
    tracing::error!(
        id = %hex(seat.id()),
        "this coordinator was removed from its cluster and takes no part any more: stop it, or start it with an empty data \
         directory to join again under another number"
    );
    if let Some(node) = seat.node() {
        node.shutdown().await;
    }
    std::future::pending().await
}

fn signals() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// How a coordinator's number is written.
pub(super) fn hex(id: u64) -> String {
    format!("{id:016x}")
}
