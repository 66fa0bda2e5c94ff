//! The machine itself as the run's only worker.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use async_trait::async_trait;
use cullet_cache::{ActionResult, BlobStore};
use cullet_coordinator::resolve::declared_outputs;
use cullet_coordinator::workers::{Finished, Report, StartAttempt, Workers};
use cullet_core::{AttemptId, AttemptOutcome, StepId, WorkerId};
use cullet_worker::attempt::{Attempt, AttemptReport, Worker};
use cullet_worker::logs::LogEvents;
use cullet_worker::{LostInput, LostInputs, Stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::reports;

/// Runs attempts in this process.
pub(super) struct LocalWorkers {
    /// Or why nothing can be executed. Made when something is to be executed: it needs a directory of its own,
    /// and a run that the cache answers needs neither.
    worker: LazyLock<Made, Make>,
    blobs: Arc<dyn BlobStore>,
    running: Running,
    name: &'static str,
}

type Made = Result<Arc<Worker>, String>;
type Make = Box<dyn FnOnce() -> Made + Send>;

/// How to stop what is running. As many as steps fit on this machine.
type Running = Arc<Mutex<BTreeMap<(StepId, AttemptId), CancellationToken>>>;

impl LocalWorkers {
    pub(super) fn new(
        make: impl FnOnce() -> Result<Worker, String> + Send + 'static,
        blobs: Arc<dyn BlobStore>,
        name: &'static str,
    ) -> Self {
        let worker = LazyLock::new(Box::new(|| make().map(Arc::new)) as Make);
        Self { worker, blobs, running: Running::default(), name }
    }
}

#[async_trait]
impl Workers for LocalWorkers {
    async fn start(&self, start: StartAttempt, sender: mpsc::Sender<Report>) {
        let cancel = CancellationToken::new();
        let key = (start.id, start.attempt);
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(key, cancel.clone());
        let (blobs, running) = (self.blobs.clone(), Arc::clone(&self.running));
        let worker = (*self.worker).clone();
        tokio::spawn(async move {
            let finished = match worker {
                Ok(worker) => execute(&worker, &*blobs, start, sender.clone(), cancel).await,
                Err(reason) => refused(&start, reason),
            };
            running.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            // Nobody listens any more once the session is dropped.
            let _ = sender.send(Report::Finished(Box::new(finished))).await;
        });
    }

    fn stop(&self, id: StepId, attempt: AttemptId) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cancel) = running.get(&(id, attempt)) {
            cancel.cancel();
        }
    }

    fn name(&self, _: WorkerId) -> String {
        self.name.to_owned()
    }
}

/// An attempt before its end.
fn open_end(start: &StartAttempt) -> Finished {
    Finished {
        id: start.id,
        attempt: start.attempt,
        epoch: start.epoch,
        outcome: AttemptOutcome::Cancelled,
        duration_ms: 0,
        exit_code: None,
        reason: None,
        result: None,
        recorded: false,
        tests: None,
    }
}

fn refused(start: &StartAttempt, reason: String) -> Finished {
    Finished { outcome: AttemptOutcome::Infra { reason: reason.into() }, ..open_end(start) }
}

async fn execute(
    worker: &Arc<Worker>,
    blobs: &dyn BlobStore,
    start: StartAttempt,
    sender: mpsc::Sender<Report>,
    cancel: CancellationToken,
) -> Finished {
    let attempt = Attempt {
        label: start.name.clone(),
        action_digest: start.digest,
        write_result: !start.action.do_not_cache,
        action: start.action.clone(),
    };
    let lines = Lines { id: start.id, sender: sender.clone() };
    let report = worker.run(attempt, lines, cancel).await;
    let mut finished = open_end(&start);
    for text in conclude(report, &start, &mut finished) {
        // Nobody listens any more once the session is dropped.
        let _ = sender.send(Report::Note { id: start.id, text }).await;
    }
    if let Some(result) = &finished.result {
        finished.duration_ms = result.duration_ms;
        finished.tests = reports::read(result, &start.reports, blobs).await;
    }
    finished
}

/// The worker's words in the core's, and what else a person should be told.
fn conclude(report: AttemptReport, start: &StartAttempt, finished: &mut Finished) -> Vec<String> {
    let (outcome, warnings) = match report {
        AttemptReport::Succeeded { result, warnings } => {
            // Every reason not to record it is a warning.
            finished.recorded = warnings.is_empty() && !start.action.do_not_cache;
            (succeeded(result, start, finished), warnings)
        }
        AttemptReport::Failed { result, reason, warnings } => {
            finished.reason = reason;
            let exit_code = result.exit_code;
            finished.exit_code = Some(exit_code);
            finished.result = Some(result);
            (AttemptOutcome::Failed { exit_code }, warnings)
        }
        AttemptReport::TimedOut { result, warnings } => {
            let after = crate::ui::duration::human(start.action.timeout);
            finished.reason = Some(format!("its timeout is {after}"));
            finished.result = Some(result);
            (AttemptOutcome::TimedOut, warnings)
        }
        AttemptReport::Cancelled { result } => {
            finished.result = result;
            (AttemptOutcome::Cancelled, Vec::new())
        }
        AttemptReport::Infra { reason, result } => {
            finished.result = result;
            (AttemptOutcome::Infra { reason: reason.into() }, Vec::new())
        }
        AttemptReport::InputLost(lost) => (lost_inputs(&lost, start), Vec::new()),
    };
    finished.outcome = outcome;
    warnings
}

fn succeeded(result: ActionResult, start: &StartAttempt, finished: &mut Finished) -> AttemptOutcome {
    let outputs = declared_outputs(&result, &start.outputs);
    finished.exit_code = Some(0);
    finished.result = Some(result);
    match outputs {
        Some(outputs) => AttemptOutcome::Succeeded { outputs },
        // The worker promises all of them; a result without one must not unlock anything.
        None => AttemptOutcome::Infra { reason: "the result lacks a declared output".into() },
    }
}

/// Which inputs hold the paths that could not be read: those with the longest path in front of them. None where
/// it is the directories around the inputs that are lost.
fn lost_inputs(lost: &LostInputs, start: &StartAttempt) -> AttemptOutcome {
    let mut inputs: Vec<u16> = Vec::new();
    for LostInput { path, .. } in &lost.inputs {
        let holds = |input: &str| {
            input.is_empty()
                || path.strip_prefix(input).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let holder = (0u16..).zip(&start.inputs).filter(|(_, (input, _))| holds(input));
        inputs.extend(holder.max_by_key(|(_, (input, _))| input.len()).map(|(index, _)| index));
    }
    inputs.sort_unstable();
    inputs.dedup();
    AttemptOutcome::InputLost { inputs: inputs.into() }
}

/// Passes lines on to the session. A session that lags makes the step's pipe fill up: a step never prints
/// faster than its lines are taken.
struct Lines {
    id: StepId,
    sender: mpsc::Sender<Report>,
}

impl LogEvents for Lines {
    fn lines(&mut self, stream: Stream, text: &str) {
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        for line in text.lines() {
            let report = Report::Log { id: self.id, stream, text: line.to_owned() };
            // Nobody listens any more once the session is dropped.
            let _ = self.sender.blocking_send(report);
        }
    }
}
