//! The machine itself as the run's only worker.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use async_trait::async_trait;
use cullet_cache::{BlobStore, Scope};
use cullet_coordinator::event;
use cullet_coordinator::workers::{Finished, Report, StartAttempt, Workers};
use cullet_core::{AttemptId, AttemptOutcome, StepId, WorkerId};
use cullet_pipeline::plan::{CacheVolume, Limits};
use cullet_worker::attempt::{Attempt, Worker};
use cullet_worker::junit::TestSummary;
use cullet_worker::logs::LogEvents;
use cullet_worker::{
    Conclusion, Declared, Masks, Outcome, StepLimits, Stream, Travels, Uses, Visit, VolumeUse,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::behind::BackedInputs;
use super::verify::Verifying;
use super::visits::{Guest, Visits};

/// Runs attempts in this process.
pub(super) struct LocalWorkers {
    /// Or why nothing can be executed. Made when something is to be executed: it needs a directory of its own,
    /// and a run that the cache answers needs neither.
    worker: LazyLock<Made, Make>,
    blobs: Arc<dyn BlobStore>,
    running: Running,
    name: &'static str,
    visits: Option<Visits>,
    verifying: Option<Verifying>,
    /// Where inputs come from that are elsewhere.
    backed: Option<Arc<BackedInputs>>,
    /// Whose the volumes of steps are: the pipeline's, in a scope.
    scope: Arc<str>,
    /// The pipeline's name.
    pipeline: Arc<str>,
    /// Whether steps find their volumes empty, and nothing of these is kept.
    has_empty_volumes: bool,
}

type Made = Result<Arc<Worker>, String>;
type Make = Box<dyn FnOnce() -> Made + Send>;

/// How to stop what is running. As many as steps fit on this machine.
type Running = Arc<Mutex<BTreeMap<(StepId, AttemptId), CancellationToken>>>;

impl LocalWorkers {
    pub(super) fn new(
        make: impl FnOnce() -> Result<Worker, String> + Send + 'static,
        blobs: Arc<dyn BlobStore>,
        (name, scope, pipeline): (&'static str, &str, &str),
        (visits, verifying, backed): (Option<Visits>, Option<Verifying>, Option<Arc<BackedInputs>>),
    ) -> Self {
        let worker = LazyLock::new(Box::new(|| make().map(Arc::new)) as Make);
        let (running, scope, pipeline) = (Running::default(), scope.into(), pipeline.into());
        let has_empty_volumes = false;
        Self { worker, blobs, running, name, visits, verifying, backed, scope, pipeline, has_empty_volumes }
    }

    /// For steps that are to leave nothing to others.
    pub(super) fn with_empty_volumes(self) -> Self {
        Self { has_empty_volumes: true, ..self }
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
        let visit = self.visits.as_ref().and_then(|visits| visits.to(&start.name));
        let extras = (visit, self.verifying.clone());
        let (scope, pipeline) = (Arc::clone(&self.scope), Arc::clone(&self.pipeline));
        let backed = self.backed.clone();
        let has_empty_volumes = self.has_empty_volumes;
        tokio::spawn(async move {
            let finished = match worker {
                Ok(worker) => {
                    if let Some(backed) = backed {
                        backed.bring(&start.inputs, &cancel).await;
                    }
                    let volume = |cache: &CacheVolume| volume(cache, &scope, &pipeline, has_empty_volumes);
                    let caches = start.caches.iter().map(volume).collect();
                    execute(&worker, &*blobs, (start, caches), extras, sender.clone(), cancel).await
                }
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
pub(super) fn open_end(start: &StartAttempt) -> Finished {
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
    (start, caches): (StartAttempt, Vec<VolumeUse>),
    (visit, verifying): (Option<(Visit, Arc<Guest>)>, Option<Verifying>),
    sender: mpsc::Sender<Report>,
    cancel: CancellationToken,
) -> Finished {
    let (visit, guest) = visit.unzip();
    let attempt = Attempt {
        label: start.name.clone(),
        action_digest: start.digest,
        // Whoever finds images here knows where they are.
        image: None,
        service_images: Default::default(),
        limits: step_limits(start.limits),
        caches,
        write_result: !start.action.do_not_cache,
        action: start.action.clone(),
        visit,
        masks: Masks::default(),
        // The run keeps what all its steps use.
        uses: Uses::default(),
    };
    let masks = attempt.masks.clone();
    let lines = Lines { id: start.id, sender: sender.clone(), guest };
    let report = match verifying {
        None => worker.run(attempt, lines, cancel).await,
        Some(verifying) => {
            let report = worker.run(attempt.clone(), lines, cancel.clone()).await;
            verifying.again(worker, attempt, blobs, (&start, &report), cancel).await;
            report
        }
    };
    let declared = Declared { outputs: &start.outputs, inputs: &start.inputs, reports: &start.reports };
    let conclusion = masks.conclusion(Conclusion::of(report, declared, blobs).await);
    // Every reason not to record it is a note.
    let recorded = matches!(conclusion.outcome, Outcome::Succeeded { .. })
        && conclusion.notes.is_empty()
        && !start.action.do_not_cache;
    for text in &conclusion.notes {
        // Nobody listens any more once the session is dropped.
        let _ = sender.send(Report::Note { id: start.id, text: text.clone() }).await;
    }
    Finished { recorded, ..finished(&start, conclusion) }
}

/// Whose volumes that travel are here: those of the tenant that clusters have where none is named, so that both share them.
const TENANT: &str = "default";

fn volume(cache: &CacheVolume, scope: &str, pipeline: &str, empty: bool) -> VolumeUse {
    // The store behind this machine's cache was opened for one scope, and for no other.
    let travels = cache.travels_as(TENANT, pipeline).map(|owner| Travels { owner, scope: Scope::default() });
    let CacheVolume { path, volume, locked, .. } = cache.clone();
    VolumeUse { scope: scope.to_owned(), volume, path, locked, empty, travels }
}

pub(super) const fn step_limits(limits: Limits) -> StepLimits {
    let Limits { cpu_millis, memory_bytes, processes, disk_bytes, output_bytes, log_bytes } = limits;
    StepLimits { cpu_millis, memory_bytes, processes, disk_bytes, output_bytes, log_bytes }
}

/// The worker's words in the core's.
fn finished(start: &StartAttempt, conclusion: Conclusion) -> Finished {
    let Conclusion { outcome, duration_ms, exit_code, reason, result, tests, notes: _ } = conclusion;
    let after = || format!("its timeout is {}", crate::ui::duration::human(start.action.timeout));
    Finished {
        reason: reason.or_else(|| (outcome == Outcome::TimedOut).then(after)),
        outcome: match outcome {
            Outcome::Succeeded { outputs } => AttemptOutcome::Succeeded { outputs },
            Outcome::Failed { exit_code } => AttemptOutcome::Failed { exit_code },
            Outcome::TimedOut => AttemptOutcome::TimedOut,
            Outcome::Cancelled => AttemptOutcome::Cancelled,
            Outcome::Infra { reason } => AttemptOutcome::Infra { reason: reason.into() },
            Outcome::Impossible { reason } => AttemptOutcome::Impossible { reason: reason.into() },
            Outcome::InputLost { inputs } => AttemptOutcome::InputLost { inputs },
        },
        duration_ms,
        exit_code,
        result,
        tests: tests.map(|TestSummary { tests, failed, skipped, failures }| event::TestSummary {
            tests,
            failed,
            skipped,
            failures,
        }),
        ..open_end(start)
    }
}

/// Passes lines on to the session. A session that lags makes the step's pipe fill up: a step never prints
/// faster than its lines are taken.
struct Lines {
    id: StepId,
    sender: mpsc::Sender<Report>,
    guest: Option<Arc<Guest>>,
}

impl LogEvents for Lines {
    fn lines(&mut self, stream: Stream, text: &str) {
        let stream = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        for line in text.lines() {
            self.guest.iter().for_each(|guest| guest.hear(line));
            let report = Report::Log { id: self.id, stream, text: line.to_owned() };
            // Nobody listens any more once the session is dropped.
            let _ = self.sender.blocking_send(report);
        }
    }
}
