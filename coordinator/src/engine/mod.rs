//! What the leader of a cluster does: it performs the effects of the core for all runs, and tells the core what came of
//! them. Everything here belongs to one term of one leader ([`Leading`]) and is dropped with it: the next one finds in
//! the state what nobody has answered so far.

mod attendance;
mod audit;
mod backlog;
mod clock;
mod contexts;
mod deliver;
mod finish;
mod intake;
mod keeping;
mod nearness;
mod operate;
mod perform;
mod proposals;
mod recalling;
mod reporting;
mod resolving;
mod results;
mod start;
mod submit;
mod term;
mod trace;
mod waiting;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use cullet_cache::{BlobStore, CompletenessChecking, EncodedAction};
use cullet_core::{LogCommand, Settings, TimeMs};
use cullet_digest::{Digest, DigestFunction};
use cullet_proto::trace::Tracer;
use quick_cache::sync::Cache;
use tokio::sync::{Semaphore, mpsc, oneshot, watch as channel};
use tokio_util::sync::CancellationToken;

pub(crate) use attendance::{Attendance, OUTBOX, Seated};
pub use audit::Mark;
pub use clock::{Clock, SystemClock};
pub(crate) use operate::Asked;
pub use proposals::{Lost, Outcome};
pub(crate) use resolving::INPUTS_MISSING;
pub(crate) use results::scope_of;
pub use results::{Results, ScopeResults, StoredResults};
pub(crate) use submit::SubmitError;

use crate::cluster::Seat;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::raft::{EncodedCommand, Node};
use backlog::Backlog;
use clock::TermClock;
use contexts::Contexts;
use intake::Intake;
use nearness::TreeSizes;
use proposals::Proposal;
use recalling::Recalling;
use reporting::Reporting;

/// The digest function of pipelines.
pub(crate) const FUNCTION: DigestFunction = DigestFunction::Blake3;

/// What a coordinator reads and writes besides its log.
#[derive(Debug, Clone)]
pub struct EngineParts {
    /// The blobs of the cluster.
    pub blobs: Arc<dyn BlobStore>,
    /// Its results.
    pub results: Arc<dyn Results>,
    /// What tells complete trees from others.
    pub completeness: Arc<CompletenessChecking>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

/// How a coordinator leads.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// A worker that was not heard for so long has lost its attempts.
    pub lease: Duration,
    /// Limits and preferences of the cluster, if this coordinator is to bring its own.
    pub settings: Option<Settings>,
    /// Who may do what, and who is believed.
    pub policy: Arc<Policy>,
    /// Of the steps that the action cache answers, the part that is executed again when workers have nothing to do; 0 for none.
    pub audit_share: f64,
}

impl Default for EngineConfig {
    /// A worker may be silent for ten seconds.
    fn default() -> Self {
        Self { lease: Duration::from_secs(10), settings: None, policy: Arc::default(), audit_share: 0.0 }
    }
}

/// The part of a coordinator that leads when it is its turn. Clones share everything.
#[derive(Debug, Clone)]
pub struct Engine {
    seat: Arc<Seat>,
    parts: EngineParts,
    config: EngineConfig,
    leading: channel::Sender<Option<Arc<Leading>>>,
    metrics: Arc<Metrics>,
    tracer: Tracer,
}

impl Engine {
    /// For the coordinator that has this seat. Nothing happens before [`Engine::run`].
    pub fn new(seat: Arc<Seat>, parts: EngineParts, config: EngineConfig) -> Self {
        let metrics = Arc::new(Metrics::new(Arc::clone(&seat)));
        Self { seat, parts, config, leading: channel::Sender::new(None), metrics, tracer: Tracer::default() }
    }

    /// Tells there what became of runs and steps.
    #[must_use]
    pub fn tracing(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// The seat.
    pub(crate) const fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// What it counts.
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What it reads and writes.
    pub(crate) const fn parts(&self) -> &EngineParts {
        &self.parts
    }

    /// Who may do what.
    pub(crate) fn policy(&self) -> &Policy {
        &self.config.policy
    }

    /// The term that this coordinator leads now.
    pub(crate) fn leading(&self) -> Option<Arc<Leading>> {
        self.leading.borrow().clone()
    }

    /// Waits until this coordinator leads and is ready to, but not for long, not once another one leads, and not where the
    /// others have left it.
    pub(crate) async fn leading_within(&self, patience: Duration) -> Option<Arc<Leading>> {
        let node = self.seat.node()?;
        if node.is_deserted() || node.is_removed() {
            return None;
        }
        let mut leading = self.leading.subscribe();
        let elsewhere = async {
            let mut known = (0, None);
            while known.1.is_none_or(|leader| leader == node.identity().node) {
                known = node.leader_change(known).await;
            }
        };
        tokio::select! {
            there = tokio::time::timeout(patience, leading.wait_for(Option::is_some)) => there.ok()?.ok()?.clone(),
            () = elsewhere => None,
        }
    }
}

/// Tasks that look up actions at once: mostly waiting for the shared store.
const LOOKUPS: usize = 32;

/// Attempts whose start is being prepared, and whose results are being stored: mostly waiting for the shared store.
const STARTING: usize = 64;
const FINISHING: usize = 64;

/// Actions that are remembered between their making and the start of their attempt, in bytes. What is forgotten is made
/// again.
const ACTIONS_BYTES: u64 = 64 << 20;

/// One term of one leader.
pub(crate) struct Leading {
    node: Node,
    parts: EngineParts,
    lease: Duration,
    policy: Arc<Policy>,
    audit_share: f64,
    audits: audit::Chosen,
    pub(crate) metrics: Arc<Metrics>,
    tracer: Tracer,
    clock: TermClock,
    queue: mpsc::Sender<Proposal>,
    /// Actions to be stored.
    keep: mpsc::Sender<Arc<EncodedAction>>,
    pub(crate) attendance: Attendance,
    contexts: Contexts,
    backlog: Backlog,
    actions: Cache<Digest, Arc<EncodedAction>, ByBytes>,
    sizes: TreeSizes,
    intake: Intake,
    starting: Arc<Semaphore>,
    finishing: Arc<Semaphore>,
    recalling: Recalling,
    reporting: Reporting,
    /// Cancelled when the term is over.
    end: CancellationToken,
}

impl std::fmt::Debug for Leading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leading").field("node", &self.node).finish_non_exhaustive()
    }
}

/// What an action takes in memory.
#[derive(Debug, Clone)]
struct ByBytes;

impl quick_cache::Weighter<Digest, Arc<EncodedAction>> for ByBytes {
    fn weight(&self, _: &Digest, action: &Arc<EncodedAction>) -> u64 {
        (action.action.len() + action.command.len() + 256) as u64
    }
}

impl Leading {
    fn new(
        engine: &Engine,
        node: Node,
        queue: mpsc::Sender<Proposal>,
        keep: mpsc::Sender<Arc<EncodedAction>>,
    ) -> Self {
        let latest = node.state().read().state.latest();
        Self {
            clock: TermClock::new(&*engine.parts.clock, latest),
            contexts: Contexts::new(engine.parts.clone()),
            node,
            parts: engine.parts.clone(),
            lease: engine.config.lease,
            policy: Arc::clone(&engine.config.policy),
            audit_share: engine.config.audit_share,
            audits: audit::Chosen::default(),
            metrics: Arc::clone(&engine.metrics),
            tracer: engine.tracer.clone(),
            queue,
            keep,
            attendance: Attendance::default(),
            backlog: Backlog::default(),
            actions: Cache::with_weighter(1 << 14, ACTIONS_BYTES, ByBytes),
            sizes: TreeSizes::default(),
            intake: Intake::default(),
            starting: Arc::new(Semaphore::new(STARTING)),
            finishing: Arc::new(Semaphore::new(FINISHING)),
            recalling: Recalling::default(),
            reporting: Reporting::default(),
            end: CancellationToken::new(),
        }
    }

    /// This coordinator's part in raft.
    pub(crate) const fn node(&self) -> &Node {
        &self.node
    }

    /// A worker that was not heard for so long has lost its attempts.
    pub(crate) const fn lease(&self) -> Duration {
        self.lease
    }

    /// Milliseconds since the Unix epoch, never less than the log has seen.
    pub(crate) fn now(&self) -> TimeMs {
        self.clock.now()
    }

    /// Cancelled when this coordinator leads no more.
    pub(crate) const fn end(&self) -> &CancellationToken {
        &self.end
    }

    /// Proposes a command and says what became of it.
    pub(crate) async fn propose(&self, command: LogCommand) -> Result<Outcome, Lost> {
        self.propose_encoded(encoded(&command).ok_or(Lost)?).await
    }

    /// Does what [`Leading::propose`] does, with a command that is encoded already.
    async fn propose_encoded(&self, command: EncodedCommand) -> Result<Outcome, Lost> {
        let (done, outcome) = oneshot::channel();
        self.queue.send(Proposal { command, done: Some(done) }).await.map_err(|_| Lost)?;
        outcome.await.map_err(|_| Lost)
    }

    /// Proposes a command that nobody waits for. Where it is lost, so is this term, and the next one asks again.
    async fn tell(&self, command: LogCommand) {
        let Some(command) = encoded(&command) else { return };
        let _ = self.queue.send(Proposal { command, done: None }).await;
    }

    /// Reads something out of the state.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&cullet_core::State) -> T) -> T {
        read(&self.node.state().read().state)
    }

    /// Does something until it is done or the term is over.
    pub(crate) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        tokio::spawn(async move { end.run_until_cancelled_owned(work).await });
    }
}

/// A command as the log has it. There is none that cannot be encoded; if there ever is one, whoever waits for it is told that
/// it is lost.
fn encoded(command: &LogCommand) -> Option<EncodedCommand> {
    let encoded = EncodedCommand::new(command);
    encoded.inspect_err(|error| tracing::error!(%error, ?command, "a command cannot be encoded")).ok()
}
