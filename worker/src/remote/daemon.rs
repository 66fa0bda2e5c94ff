//! The worker in its cluster.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use cullet_proto::trace::Tracer;
use prometheus_client::collector::Collector;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use super::config::{DaemonConfig, DaemonError, DaemonParts, endpoint};
use super::metrics::Metrics;
use super::registry::Registry;
use super::session::{Context, Session, SessionEnd};

/// Takes part in a cluster: runs what its leader says, and answers for it to whoever leads next.
#[derive(Debug)]
pub struct Daemon {
    context: Context,
    coordinators: Vec<Endpoint>,
}

/// What was left when a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Attempts that could not even be stopped.
    pub running: usize,
    /// Attempts whose end no coordinator knows of. They run again elsewhere when the lease is over.
    pub unacknowledged: usize,
}

/// Between two tries: a short first wait, because a coordinator that is restarted or has just been elected is back
/// at once; never more than two seconds, jitter included, because nothing is started until somebody answers.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Between two tries, jitter aside, as a part of the lease of whoever led last: the next leader waits for this worker no
/// longer than that lease, and an election has already taken some of it.
const WAITS_IN_A_LEASE: u32 = 8;

/// How many redirects in a row are followed at once. More means that coordinators disagree, so give them time.
const MAX_REDIRECTS: u32 = 3;

/// Before the same coordinator is greeted again: until it has seen the end of the stream, so that it does not take the new
/// one for the one that is emptied and gone.
const BEFORE_GREETING_ANEW: Duration = Duration::from_millis(500);

/// How long a coordinator has to write down that this worker takes nothing more: an election and some more.
const PARTING: Duration = Duration::from_secs(3);

/// How long a stopped attempt may take to end: the launcher kills what does not react, and its leftovers are removed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

impl Daemon {
    /// Checks the configuration; nothing is connected yet.
    pub fn new(config: DaemonConfig, parts: DaemonParts) -> Result<Self, DaemonError> {
        let coordinators = config.coordinators.iter().map(|address| endpoint(address));
        let coordinators = coordinators.collect::<Result<Vec<_>, _>>()?;
        if coordinators.is_empty() {
            return Err(DaemonError::NoCoordinator);
        }
        let registry = Arc::new(Registry::new(config.limits));
        let metrics = Arc::new(Metrics::new(Arc::clone(&registry)));
        Ok(Self {
            context: Context {
                config: Arc::new(config),
                parts,
                registry,
                metrics,
                tracer: Tracer::default(),
            },
            coordinators,
        })
    }

    /// Tells there what became of attempts.
    #[must_use]
    pub fn tracing(mut self, tracer: Tracer) -> Self {
        self.context.tracer = tracer;
        self
    }

    /// Has something else told to whoever asks for this worker's metrics.
    pub fn add_metrics(&self, collector: Box<dyn Collector>) {
        self.context.metrics.add(collector);
    }

    pub(super) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.context.metrics)
    }

    pub(super) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.context.registry)
    }

    /// Takes part until `drain` is cancelled and all that runs has ended, one way or the other. Nothing that runs is
    /// touched because a connection breaks.
    pub async fn run(&self, drain: CancellationToken) -> Drained {
        tokio::select! {
            never = self.attend_for_ever() => match never {},
            drained = self.end(drain) => drained,
        }
    }

    /// Stops what runs, for whoever cannot wait until it has finished. It counts as this worker's fault.
    pub fn stop(&self) {
        self.context.registry.drain();
        self.context.registry.shut_down();
    }

    /// Finishes what runs, within bounds, and waits until that is known.
    async fn end(&self, drain: CancellationToken) -> Drained {
        drain.cancelled().await;
        let (registry, limits) = (&self.context.registry, self.context.config.limits);
        registry.drain();
        tracing::info!(running = registry.running(), "takes nothing more and finishes what runs");
        if timeout(limits.drain, registry.until(|registry| registry.running() == 0)).await.is_err() {
            tracing::warn!(running = registry.running(), "stops what still runs");
            registry.shut_down();
            let _ = timeout(STOP_PATIENCE, registry.until(|registry| registry.running() == 0)).await;
        }
        let told = |registry: &Registry| registry.unacknowledged() == 0;
        let _ = timeout(limits.farewell, registry.until(told)).await;
        // Until then something may be started here that would wait for the lease.
        let parted = |registry: &Registry| registry.unacknowledged() == 0 && registry.has_parted();
        let _ = timeout(PARTING.min(limits.farewell), registry.until(parted)).await;
        let drained = Drained { running: registry.running(), unacknowledged: registry.unacknowledged() };
        tracing::info!(?drained, "ends");
        drained
    }

    async fn attend_for_ever(&self) -> std::convert::Infallible {
        let mut contact = Contact::new();
        // Workers that start together do not all ask the same one.
        let mut next = self.context.config.incarnation as usize % self.coordinators.len();
        let (mut redirect, mut asked) = (None, String::new());
        let mut waits = waits(LONGEST_WAIT);
        for number in 1.. {
            let endpoint = redirect.take().unwrap_or_else(|| {
                next = self.after(next, &asked);
                self.coordinators[next].clone()
            });
            let (address, same) = (endpoint.uri().to_string(), endpoint.clone());
            asked.clone_from(&address);
            let end = match Session::open(self.context.clone(), endpoint, number).await {
                Ok(session) => {
                    contact.made(&address, session.terms.lease);
                    waits = self::waits(session.terms.lease / WAITS_IN_A_LEASE);
                    self.context.metrics.sessions.inc();
                    self.context.metrics.attended.set(1);
                    let end = session.attend().await;
                    self.context.metrics.attended.set(0);
                    contact.lost();
                    end
                }
                Err(end) => end,
            };
            if matches!(end, SessionEnd::Room) {
                redirect = Some(same);
                sleep(BEFORE_GREETING_ANEW).await;
                continue;
            }
            contact.report(&address, &end);
            redirect = contact.follow(&end);
            if redirect.is_none() {
                let wait = waits.next().unwrap_or(LONGEST_WAIT);
                contact.wait(wait).await;
            }
        }
        std::future::pending().await
    }

    /// Who is asked next: not the one that was a moment ago, because another one had named it.
    fn after(&self, position: usize, asked: &str) -> usize {
        let next = (position + 1) % self.coordinators.len();
        let same = *self.coordinators[next].uri() == *asked;
        if same { (next + 1) % self.coordinators.len() } else { next }
    }
}

fn waits(longest: Duration) -> ExponentialBackoff {
    let longest = longest.clamp(FIRST_WAIT, LONGEST_WAIT);
    let waits = ExponentialBuilder::new().with_min_delay(FIRST_WAIT).with_max_delay(longest);
    waits.without_max_times().with_jitter().build()
}

/// What is known of the leader, for the log.
struct Contact {
    /// The lease of the last leader, and when it was heard last; none before the first.
    last: Option<(Duration, Instant)>,
    /// Redirects in a row.
    redirects: u32,
    said_lost: bool,
    said_why: bool,
    said_taken: bool,
}

impl Contact {
    const fn new() -> Self {
        Self { last: None, redirects: 0, said_lost: false, said_why: false, said_taken: false }
    }

    fn made(&mut self, address: &str, lease: Duration) {
        tracing::info!(coordinator = address, "attends");
        *self = Self { last: Some((lease, Instant::now())), ..Self::new() };
    }

    fn lost(&mut self) {
        if let Some((_, heard)) = &mut self.last {
            *heard = Instant::now();
        }
    }

    /// Says why there is no leader: the first reason aloud, the rest for whoever looks closely.
    fn report(&mut self, address: &str, end: &SessionEnd) {
        if let SessionEnd::NameTaken(why) = end {
            if !self.said_taken {
                tracing::error!(coordinator = address, "not taken in, and asks again until it is: {why}");
                self.said_taken = true;
            }
        } else if self.said_why || matches!(end, SessionEnd::Redirected(_)) {
            tracing::debug!(coordinator = address, %end, "no leader there");
        } else {
            tracing::warn!(coordinator = address, %end, "no leader there");
            self.said_why = true;
        }
    }

    /// Where to go at once.
    fn follow(&mut self, end: &SessionEnd) -> Option<Endpoint> {
        let SessionEnd::Redirected(Some(address)) = end else {
            self.redirects = 0;
            return None;
        };
        self.redirects += 1;
        if self.redirects > MAX_REDIRECTS {
            self.redirects = 0;
            return None;
        }
        match endpoint(address) {
            Ok(endpoint) => Some(endpoint),
            Err(error) => {
                tracing::warn!(%error, "a coordinator redirects to nowhere");
                None
            }
        }
    }

    /// Waits, and says once when the lease is over. What runs goes on: whether its end still counts is for the
    /// leader to say, who knows the epochs.
    async fn wait(&mut self, pause: Duration) {
        sleep(pause).await;
        if let Some((lease, heard)) = self.last
            && !self.said_lost
            && heard.elapsed() >= lease
        {
            self.said_lost = true;
            tracing::warn!(
                lease_ms = lease.as_millis(),
                "no leader for longer than the lease: what runs here goes on, and may be run elsewhere as well"
            );
        }
    }
}
