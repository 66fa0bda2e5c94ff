//! One stream to one coordinator.

use std::sync::Arc;
use std::time::Duration;

use cullet_proto::Dial;
use cullet_proto::trace::Tracer;
use cullet_proto::v1::workers_client::WorkersClient;
use cullet_proto::v1::{self, coordinator_message, worker_message};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use super::attempt;
use super::config::{DaemonConfig, DaemonParts};
use super::key::AttemptKey;
use super::metrics::Metrics;
use super::registry::Registry;
use super::start::Start;
use super::table::Full;
use crate::attempt::sentence;
use crate::planted::{self, Bug};

/// A coordinator on a machine that is up accepts in milliseconds; the next one is a better use of more time.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// How long a coordinator may take to welcome: the leader commits the worker first, which may take an election.
const WELCOME_PATIENCE: Duration = Duration::from_secs(5);

/// How often an idle connection is tried, and how long until it counts as dead. Together less than any sensible
/// lease, so that a leader that hangs is left in time.
const KEEPALIVE: Duration = Duration::from_secs(1);
const KEEPALIVE_PATIENCE: Duration = Duration::from_secs(2);

/// Messages on their way out. The connection is given up when the next one finds no room for so long.
const OUTBOX: usize = 16;
const OUTBOX_PATIENCE: Duration = Duration::from_secs(5);

/// How much of a greeting may be reports: a fourth of what a message may have.
const GREETING_BYTES: usize = 1 << 20;

/// Changes in what is held are told at most this often.
const HOLDINGS_PAUSE: Duration = Duration::from_secs(1);

/// The shortest time between heartbeats that a coordinator may ask for.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(10);

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionEnd {
    #[error("another coordinator leads: {}", .0.as_deref().unwrap_or("unknown which"))]
    Redirected(Option<String>),
    #[error("cannot connect: {}", sentence(.0))]
    Connect(#[source] tonic::transport::Error),
    #[error("refused: {}", .0.message())]
    Status(Box<tonic::Status>),
    /// Another worker that is connected has its name.
    #[error("{0}")]
    NameTaken(String),
    #[error("the coordinator does not answer")]
    Silence,
    #[error("the coordinator ended the stream")]
    Closed,
    #[error("the coordinator takes no messages")]
    Stuck,
    #[error("the coordinator broke the protocol: {0}")]
    Protocol(&'static str),
    #[error(transparent)]
    Full(#[from] Full),
    /// Whoever took nothing has to greet anew to be given something.
    #[error("the worker has room again")]
    Room,
}

/// What outlives the sessions.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) config: Arc<DaemonConfig>,
    pub(super) parts: DaemonParts,
    pub(super) registry: Arc<Registry>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tracer: Tracer,
}

impl Context {
    fn takes_nothing(&self) -> bool {
        self.registry.is_draining() || !self.parts.room.is_there()
    }
}

/// What a coordinator said when it took the worker in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) lease: Duration,
    heartbeat: Duration,
}

/// A stream on which the worker was welcomed.
pub(super) struct Session {
    context: Context,
    number: u64,
    outbox: mpsc::Sender<v1::WorkerMessage>,
    inbox: Streaming<v1::CoordinatorMessage>,
    pub(super) terms: Terms,
    heartbeat: Interval,
    /// The version of the holdings that was sent, and when the next may be.
    held: u64,
    next_holdings: Instant,
    said_draining: bool,
}

impl Session {
    /// Connects and greets. `number` is that of no other session, and not 0.
    pub(super) async fn open(context: Context, endpoint: Endpoint, number: u64) -> Result<Self, SessionEnd> {
        let channel = connect(&context.config.dial, endpoint).await?;
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let said_draining = context.takes_nothing();
        let hello = greet(&context, number);
        // There is room: nothing is in there yet.
        let _ = outbox.try_send(message(worker_message::Message::Hello(hello)));
        let welcome = async {
            let answer = WorkersClient::new(channel).attend(ReceiverStream::new(messages)).await;
            let mut inbox = answer.map_err(status)?.into_inner();
            let first = inbox.message().await.map_err(status)?.ok_or(SessionEnd::Closed)?;
            Ok::<_, SessionEnd>((inbox, terms(first)?))
        };
        let (inbox, terms) = timeout(WELCOME_PATIENCE, welcome).await.map_err(|_| SessionEnd::Silence)??;
        let mut heartbeat = interval(terms.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let next_holdings = Instant::now();
        Ok(Self { context, number, outbox, inbox, terms, heartbeat, held: 0, next_holdings, said_draining })
    }

    /// Takes part until the stream ends.
    pub(super) async fn attend(mut self) -> SessionEnd {
        match self.take_part().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn take_part(&mut self) -> Result<std::convert::Infallible, SessionEnd> {
        let mut changes = self.context.registry.changes();
        changes.mark_changed();
        let mut room = self.context.parts.room.changes();
        loop {
            let holdings_due = self.context.registry.holdings(self.held);
            tokio::select! {
                received = self.inbox.message() => {
                    let message = received.map_err(status)?.ok_or(SessionEnd::Closed)?;
                    self.receive(message)?;
                }
                _ = changes.changed() => self.catch_up().await?,
                _ = room.changed() => self.catch_up().await?,
                _ = self.heartbeat.tick() => {
                    self.context.registry.expire();
                    self.send(worker_message::Message::Heartbeat(v1::Heartbeat {})).await?;
                }
                () = sleep_until(self.next_holdings), if holdings_due.is_some() => {
                    if let Some((version, holdings)) = holdings_due {
                        self.send(worker_message::Message::Holdings(holdings)).await?;
                        self.held = version;
                        self.next_holdings = Instant::now() + HOLDINGS_PAUSE;
                    }
                }
            }
        }
    }

    fn receive(&self, message: v1::CoordinatorMessage) -> Result<(), SessionEnd> {
        use coordinator_message::Message;
        match message.message {
            Some(Message::Start(start)) => self.start(start),
            Some(Message::Stop(stop)) => self.stop(stop),
            Some(Message::Acknowledged(acknowledged)) => {
                if acknowledged.attempts.is_empty() {
                    self.context.registry.part();
                }
                for attempt in acknowledged.attempts {
                    match AttemptKey::from_wire(Some(attempt)) {
                        Ok(key) => self.context.registry.acknowledge(key),
                        Err(error) => tracing::warn!(%error, "an acknowledgement makes no sense"),
                    }
                }
                while let Some(launch) = self.context.registry.next_launch() {
                    self.launch(launch);
                }
                Ok(())
            }
            Some(Message::Redirect(redirect)) => Err(redirected(redirect)),
            // It may tell the same worker twice.
            Some(Message::Welcome(_)) => Ok(()),
            None => {
                tracing::warn!("a coordinator sent a message of a kind that this version does not know");
                Ok(())
            }
        }
    }

    fn start(&self, mut start: v1::Start) -> Result<(), SessionEnd> {
        let registry = &self.context.registry;
        let key = match AttemptKey::from_wire(start.attempt.take()) {
            Ok(key) => key,
            Err(error) => {
                tracing::warn!(%error, "a coordinator wants something started that makes no sense");
                return Ok(());
            }
        };
        match Start::from_wire(key, start) {
            Ok(start) => {
                if let Some(launch) = registry.start(start)? {
                    self.launch(launch);
                }
            }
            Err(error) => {
                tracing::warn!(attempt = %key, %error, "a coordinator wants something started that cannot be");
                registry.refuse(key, format!("the worker does not understand what to start: {error}"))?;
            }
        }
        Ok(())
    }

    fn stop(&self, stop: v1::Stop) -> Result<(), SessionEnd> {
        match AttemptKey::from_wire(stop.attempt) {
            Ok(key) => self.context.registry.stop(key)?,
            Err(error) => tracing::warn!(%error, "a coordinator wants something stopped that makes no sense"),
        }
        Ok(())
    }

    fn launch(&self, launch: super::table::Launch) {
        attempt::spawn(self.context.clone(), launch);
    }

    /// Says what has not been said on this stream.
    async fn catch_up(&mut self) -> Result<(), SessionEnd> {
        match (self.said_draining, self.context.takes_nothing()) {
            // Before the reports, so that what could not run here does not come back.
            (false, true) => {
                self.send(worker_message::Message::Draining(v1::Draining {})).await?;
                self.said_draining = true;
            }
            (true, false) => return Err(SessionEnd::Room),
            _ => {}
        }
        while let Some(report) = self.context.registry.unsent(self.number) {
            let attempt = report.attempt.clone();
            self.send(worker_message::Message::Finished(report)).await?;
            if planted::is(Bug::ForgetReports)
                && let Ok(key) = AttemptKey::from_wire(attempt)
            {
                self.context.registry.acknowledge(key);
            }
        }
        Ok(())
    }

    async fn send(&self, content: worker_message::Message) -> Result<(), SessionEnd> {
        match self.outbox.send_timeout(message(content), OUTBOX_PATIENCE).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(SessionEnd::Stuck),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(SessionEnd::Closed),
        }
    }
}

async fn connect(dial: &Dial, endpoint: Endpoint) -> Result<Channel, SessionEnd> {
    let endpoint = endpoint
        .connect_timeout(CONNECT_PATIENCE)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_PATIENCE)
        .keep_alive_while_idle(true);
    dial.connect(&endpoint).await.map_err(SessionEnd::Connect)
}

fn greet(context: &Context, number: u64) -> v1::Hello {
    let config = &context.config;
    let (running, finished) = context.registry.inventory(number, GREETING_BYTES);
    v1::Hello {
        name: config.name.clone(),
        incarnation: config.incarnation,
        address: config.address.clone(),
        cpu_millis: config.cpu_millis,
        memory_bytes: config.memory_bytes,
        labels: config.labels.clone().into_iter().collect(),
        running,
        finished,
        draining: context.takes_nothing(),
    }
}

fn terms(first: v1::CoordinatorMessage) -> Result<Terms, SessionEnd> {
    match first.message {
        Some(coordinator_message::Message::Welcome(welcome)) => Ok(Terms {
            lease: Duration::from_millis(welcome.lease_ms),
            heartbeat: Duration::from_millis(welcome.heartbeat_ms).max(SHORTEST_HEARTBEAT),
        }),
        Some(coordinator_message::Message::Redirect(redirect)) => Err(redirected(redirect)),
        _ => Err(SessionEnd::Protocol("neither a welcome nor a redirect came first")),
    }
}

fn redirected(redirect: v1::Redirect) -> SessionEnd {
    SessionEnd::Redirected(Some(redirect.address).filter(|address| !address.is_empty()))
}

fn message(content: worker_message::Message) -> v1::WorkerMessage {
    v1::WorkerMessage { message: Some(content) }
}

fn status(status: tonic::Status) -> SessionEnd {
    match status.code() {
        tonic::Code::AlreadyExists => SessionEnd::NameTaken(status.message().to_owned()),
        _ => SessionEnd::Status(Box::new(status)),
    }
}
