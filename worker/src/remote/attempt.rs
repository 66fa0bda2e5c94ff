//! One attempt, from what a coordinator asked for to what it is told.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cullet_cache::Times;
use cullet_digest::{Digest, TreeRef};
use cullet_proto::v1;
use futures_util::stream::{self, StreamExt as _};

use tracing::Instrument as _;

use super::config::DaemonParts;
use super::publish::publish;
use super::report::report;
use super::session::Context;
use super::start::Start;
use super::table::{Cause, Handle, Launch, SHUTTING_DOWN};
use super::trace::Trace;
use crate::logs::{LogEvents, LogTape};
use crate::{Attempt, Conclusion, Masks, Outcome, Stream};

/// Runs it beside everything else; its end goes to the registry, whatever it is.
pub(super) fn spawn(context: Context, launch: Launch) {
    let Context { parts, registry, metrics, tracer, config, .. } = context;
    let publishing = config.limits.publishing;
    let trace = Trace::begin(tracer, &launch.start);
    metrics.started.inc();
    let key = launch.start.key;
    let span = tracing::info_span!("attempt", run = key.run(), step = %launch.start.name, attempt = key.attempt, epoch = key.epoch);
    let attempt = async move {
        let tape = launch.tape.clone();
        let ran = tokio::spawn(run(parts, launch, trace.clone(), publishing).in_current_span()).await;
        tape.close();
        let (report, trees) = ran.unwrap_or_else(|error| {
            let reason = format!("the worker failed: {error}");
            (report(key, Conclusion::bare(Outcome::Infra { reason })), Vec::new())
        });
        metrics.finished(report.outcome.as_ref());
        trace.end(&report);
        registry.finished(key, report, trees);
    };
    tokio::spawn(attempt.instrument(span));
}

async fn run(
    parts: DaemonParts,
    launch: Launch,
    trace: Trace,
    publishing: Duration,
) -> (v1::AttemptFinished, Vec<Digest>) {
    let Launch { start, handle, tape, after } = launch;
    let alone = async {
        for older in &after {
            older.cancelled().await;
        }
    };
    tokio::select! {
        () = alone => {}
        // It has not begun, so it ends below without beginning.
        () = handle.cancel.cancelled() => {}
    }
    tracing::info!("started");
    let conclusion = conclude(&parts, &start, &handle, tape, (&trace, publishing)).await;
    tracing::info!(outcome = ?conclusion.outcome, duration_ms = conclusion.duration_ms, "finished");
    let trees = held(&start, &conclusion);
    (report(start.key, signed(&parts, &start, conclusion)), trees)
}

async fn conclude(
    parts: &DaemonParts,
    start: &Start,
    handle: &Handle,
    tape: LogTape,
    (trace, publishing): (&Trace, Duration),
) -> Conclusion {
    let attempt = Attempt {
        label: start.name.clone(),
        action_digest: start.digest,
        action: Arc::clone(&start.action),
        image: start.image.clone(),
        service_images: start.service_images.clone(),
        limits: start.limits,
        caches: start.caches.clone(),
        write_result: false,
        visit: None,
        masks: Masks::default(),
        uses: parts.in_use.attempt(),
    };
    // Until others have what it leaves.
    let (masks, uses) = (attempt.masks.clone(), attempt.uses.clone());
    uses.begin();
    let mut times = Times { worker_started_ms: now_ms(), ..Times::default() };
    trace.part("fetch inputs", prefetch(parts, start, handle)).await;
    times.fetching_ms = (times.worker_started_ms, now_ms());
    let running = parts.worker.run(attempt, Box::new(Taped(tape.clone())), handle.cancel.clone());
    let ran = trace.part("execute", running).await;
    tape.close();
    let uploading_from = now_ms();
    let mut conclusion = masks.conclusion(Conclusion::of(ran, start.declared(), &*parts.blobs).await);
    if conclusion.outcome == Outcome::TimedOut {
        conclusion.reason = Some(format!("its timeout is {:?}", start.action.stopped_after()));
    }
    let mut conclusion = tokio::select! {
        biased;
        published = trace.part("upload", publish(&*parts.exchange, conclusion, publishing)) => published,
        () = patience(handle) => Conclusion::bare(Outcome::Cancelled),
    };
    uses.end();
    times.worker_completed_ms = now_ms();
    times.uploading_ms = (uploading_from, times.worker_completed_ms);
    if let Some(result) = &mut conclusion.result {
        result.times = times;
    }
    explain(conclusion, handle)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// With a signature on a result that others may reuse: the last thing that is done with it.
fn signed(parts: &DaemonParts, start: &Start, conclusion: Conclusion) -> Conclusion {
    let Some(key) =
        parts.signing.as_ref().filter(|_| matches!(conclusion.outcome, Outcome::Succeeded { .. }))
    else {
        return conclusion;
    };
    let result = conclusion.result.map(|result| result.signed(key, &start.scope, &start.digest));
    Conclusion { result, ..conclusion }
}

/// Until everything is there or somebody asks for the end. What other workers have comes from them, the rest from the
/// shared store.
async fn prefetch(parts: &DaemonParts, start: &Start, handle: &Handle) {
    let root = &start.action.input_root;
    if root.is_empty() {
        return;
    }
    let fetching = async {
        let held = start.held.iter().cloned().map(|held| {
            let exchange = Arc::clone(&parts.exchange);
            async move { exchange.prefetch_from(&held.tree, &held.holders).await }
        });
        stream::iter(held).buffer_unordered(TREES_AT_ONCE).collect::<()>().await;
        parts.exchange.prefetch(root).await;
    };
    handle.cancel.run_until_cancelled(fetching).await;
}

/// Trees that are fetched at the same time. Each fetches many blobs at once; more only helps where they are tiny.
const TREES_AT_ONCE: usize = 8;

/// Whoever stops an attempt does not wait long for what it leaves.
async fn patience(handle: &Handle) {
    handle.cancel.cancelled().await;
    tokio::time::sleep(STOP_PATIENCE).await;
}

/// Enough for the log of a step that was stopped.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// A worker that ends is no reason for a step to count as cancelled.
fn explain(conclusion: Conclusion, handle: &Handle) -> Conclusion {
    let is_shutdown = handle.cause.get() == Some(&Cause::Shutdown);
    match conclusion.outcome {
        Outcome::Cancelled if is_shutdown => {
            Conclusion { outcome: Outcome::Infra { reason: SHUTTING_DOWN.to_owned() }, ..conclusion }
        }
        _ => conclusion,
    }
}

/// The trees that are on the disk because of it.
fn held(start: &Start, conclusion: &Conclusion) -> Vec<Digest> {
    let outputs: &[TreeRef] = match &conclusion.outcome {
        Outcome::Succeeded { outputs } => outputs,
        Outcome::Failed { .. } | Outcome::TimedOut => &[],
        Outcome::Cancelled
        | Outcome::Infra { .. }
        | Outcome::Impossible { .. }
        | Outcome::InputLost { .. } => return Vec::new(),
    };
    let inputs = start.inputs.iter().map(|(_, tree)| tree.digest());
    inputs.chain(outputs.iter().map(TreeRef::digest)).collect()
}

/// Passes the log on to whoever reads it.
struct Taped(LogTape);

impl LogEvents for Taped {
    fn lines(&mut self, _: Stream, _: &str) {}

    fn tape(&self) -> Option<LogTape> {
        Some(self.0.clone())
    }
}
