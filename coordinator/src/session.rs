//! One run from submission to end: performs the core's effects, tells the core what came of them, and tells
//! whoever watches.

mod behind;
mod end;
mod perform;
mod report;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use cullet_cache::Action;
use cullet_core::spec::RunSpec;

use cullet_core::{LogCommand, Run, RunId, StepIndex, WorkerSpec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use self::behind::StoreBehind;
pub(crate) use self::end::{run_status_name, status_name};
use crate::driver::{DriveError, Driver};
use crate::event::{Event, EventSink, RunEnd, RunStart};
use crate::resolve::{Answer, Resolver, step_name};
use crate::template::Templates;
use crate::workers::{Delivery, Finished, Report, Workers};

/// Reports of workers that may wait for this run's task. A worker that prints faster than the events are taken
/// waits; 1,024 lines are more than a screen and less than a megabyte.
const REPORTS: usize = 1024;

/// Messages taken at once, so that a flood of log lines does not keep effects waiting, and a flood of cache
/// answers costs one proposal instead of thousands.
const BATCH: usize = 256;

/// Tasks that look up actions at once. On one machine the work is the processor's and the file system's: more
/// would only wait for each other.
const LOOKUPS: usize = 4;

/// The single worker of a session: the machine itself.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// What a session needs.
pub struct SessionParts<D> {
    /// Orders the commands.
    pub driver: D,
    /// Makes and looks up keys.
    pub resolver: Arc<Resolver>,
    /// What executing needs to know.
    pub templates: Arc<dyn Templates>,
    /// Where attempts run.
    pub workers: Arc<dyn Workers>,
    /// Where the run's outputs go.
    pub delivery: Arc<dyn Delivery>,
    /// What is behind the cache that the resolver asks, if anything is.
    pub behind: Option<Arc<dyn StoreBehind>>,
    /// Who watches.
    pub events: Box<dyn EventSink>,
}

/// A message from a task of this session to itself.
enum Message {
    Answers(Vec<(StepIndex, Answer)>),
    Delivered(Result<Vec<StepIndex>, String>),
}

/// One run.
pub struct Session<D> {
    run: RunId,
    parts: SessionParts<D>,
    /// Steps whose action is to be made and looked up, and whether the cache is to be asked.
    to_resolve: VecDeque<(StepIndex, bool)>,
    lookups: usize,
    /// The most that there are at once.
    most_lookups: usize,
    /// Actions that are or may be executed, until their step ends.
    actions: BTreeMap<StepIndex, Arc<Action>>,
    /// Ends of attempts whose step has not been announced yet.
    ended: BTreeMap<StepIndex, Finished>,
    /// Sentences already said: each is said once.
    said: BTreeSet<String>,
    delivery_error: Option<String>,
    messages: mpsc::Sender<Message>,
    reports: mpsc::Sender<Report>,
}

/// The far ends of a session's channels.
struct Inbox {
    messages: mpsc::Receiver<Message>,
    reports: mpsc::Receiver<Report>,
}

impl<D> std::fmt::Debug for Session<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("run", &self.run).finish_non_exhaustive()
    }
}

/// Runs `spec` to its end, or to its cancellation.
///
/// # Errors
/// Only where the driver cannot decide any more; whatever happens to steps is in the [`RunEnd`].
pub async fn run<D: Driver>(
    run: RunId,
    spec: RunSpec,
    capacity: Capacity,
    parts: SessionParts<D>,
    cancel: CancellationToken,
) -> Result<RunEnd, DriveError> {
    let most_lookups = if parts.behind.is_some() { behind::LOOKUPS } else { LOOKUPS };
    // One answer per lookup task and one delivery can be under way.
    let (messages, message_inbox) = mpsc::channel(most_lookups + 1);
    let (reports, report_inbox) = mpsc::channel(REPORTS);
    let mut session = Session {
        run,
        parts,
        to_resolve: VecDeque::new(),
        lookups: 0,
        most_lookups,
        actions: BTreeMap::new(),
        ended: BTreeMap::new(),
        said: BTreeSet::new(),
        delivery_error: None,
        messages,
        reports,
    };
    let inbox = Inbox { messages: message_inbox, reports: report_inbox };
    session.announce(&spec);
    let at = now();
    let Capacity { cpu_millis, memory_bytes } = capacity;
    let local = WorkerSpec {
        name: "local".into(),
        incarnation: 1,
        cpu_millis,
        memory_bytes,
        ..WorkerSpec::default()
    };
    let joined = LogCommand::WorkerJoined { spec: local, at };
    session.turn(vec![joined, LogCommand::Submit { run, spec: spec.into(), at }]).await?;
    if session.core_run().is_none() {
        return Err(DriveError::Refused);
    }
    session.until_end(inbox, cancel).await
}

impl<D: Driver> Session<D> {
    fn announce(&mut self, spec: &RunSpec) {
        self.parts.events.event(&Event::RunStarted(RunStart {
            run: self.run.to_string(),
            pipeline: spec.pipeline.to_string(),
            steps: spec.steps.iter().map(|step| step.name.to_string()).collect(),
        }));
    }

    async fn until_end(&mut self, mut inbox: Inbox, cancel: CancellationToken) -> Result<RunEnd, DriveError> {
        let mut cancelled = false;
        loop {
            if let Some(end) = self.run_end() {
                return Ok(self.settle(end, &cancel).await);
            }
            let mut commands = Vec::new();
            tokio::select! {
                () = cancel.cancelled(), if !cancelled => {
                    cancelled = true;
                    commands.push(LogCommand::Cancel { run: self.run, at: now() });
                }
                Some(message) = inbox.messages.recv() => self.message(message, &mut commands),
                Some(report) = inbox.reports.recv() => self.report(report, &mut commands),
            }
            for _ in 1..BATCH {
                let Ok(report) = inbox.reports.try_recv() else { break };
                self.report(report, &mut commands);
            }
            self.turn(commands).await?;
        }
    }

    /// Proposes commands and performs what comes of them.
    async fn turn(&mut self, commands: Vec<LogCommand>) -> Result<(), DriveError> {
        if !commands.is_empty() {
            let missed = missed_steps(&commands);
            for effect in self.parts.driver.propose(commands).await? {
                self.perform(effect).await;
            }
            self.announce_queued(&missed);
        }
        self.look_up();
        Ok(())
    }

    /// The run in the core.
    fn core_run(&self) -> Option<&Run> {
        self.parts.driver.state().run(self.run)
    }

    fn step_name(&self, step: StepIndex) -> String {
        step_name(self.core_run(), step)
    }
}

fn missed_steps(commands: &[LogCommand]) -> Vec<StepIndex> {
    let missed = |command: &LogCommand| match command {
        LogCommand::Resolved { id, resolution: cullet_core::Resolution::Miss { .. }, .. } => Some(id.step),
        _ => None,
    };
    commands.iter().filter_map(missed).collect()
}

/// Milliseconds since the Unix epoch. Only for people and for differences shown to them.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
