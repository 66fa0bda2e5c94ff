//! What happened in a run, as it is told.

use cullet_cache::v1::digest_to_wire;
use cullet_cache::{BlobStore, StoreError};
use cullet_core::{AttemptEnd, Note, Run, RunEvent, RunEventKind, RunId, StepEnd, StepIndex};
use cullet_digest::Digest;
use cullet_proto::v1::{self, run_event};
use prost::Message as _;

use super::summary::{exit_code, step_status, summary};
use crate::notes::{self, Said};
use crate::resolve::step_name;

/// Copied out of the state: an event, and what is still to be read from the store.
pub(super) struct Told {
    pub(super) event: v1::RunEvent,
    detail: Option<Digest>,
}

/// One event of a run, with its number.
pub(super) fn told(id: RunId, run: &Run, sequence: u64, event: &RunEvent) -> Told {
    use run_event::Event;
    let step = |step: StepIndex| step_name(Some(run), step);
    let mut detail = None;
    let wire = match &event.kind {
        RunEventKind::RunStarted => Event::RunStarted(v1::RunStarted {
            run: id.to_string(),
            pipeline: run.spec().pipeline.to_string(),
            steps: run.spec().steps.iter().map(|step| step.name.to_string()).collect(),
        }),
        RunEventKind::StepQueued { step: of } => Event::StepQueued(v1::StepQueued { step: step(*of) }),
        RunEventKind::StepStarted { step: of, attempt, worker } => Event::StepStarted(v1::StepStarted {
            step: step(*of),
            attempt: *attempt,
            worker: run.worker_name(*worker).unwrap_or_default().to_owned(),
        }),
        RunEventKind::AttemptFailed { step: of, end } => Event::Note(retry(step(*of), end)),
        RunEventKind::StepFinished { step: of, end } => {
            detail = end.detail;
            Event::StepFinished(finished(run, *of, end))
        }
        RunEventKind::StepRewound { step: of } => {
            let name = step(*of);
            let said = notes::rewound(&name);
            Event::Note(note(Some(name), said))
        }
        RunEventKind::Noted { step: of, note: noted } => {
            let said = match &**noted {
                Note::Text(text) => Said::decode(text),
                Note::Blob(_) => Said::warning(None, "a note of another version"),
            };
            Event::Note(note(of.map(step), said))
        }
        RunEventKind::RunFinished { .. } => Event::RunFinished(v1::RunFinished {
            summary: Some(summary(id, run)),
            duration_ms: event.at.saturating_sub(run.submitted_at()),
            saved_ms: run.steps().map(|step| step.saved_ms).sum(),
        }),
    };
    Told { event: v1::RunEvent { sequence, time_ms: event.at, event: Some(wire) }, detail }
}

fn note(step: Option<String>, said: Said) -> v1::Note {
    let Said { level, kind, text } = said;
    v1::Note { level, kind: kind.unwrap_or_default(), step: step.unwrap_or_default(), text }
}

fn retry(step: String, end: &AttemptEnd) -> v1::Note {
    let why = match (&end.reason, end.exit_code) {
        (Some(reason), _) => reason.to_string(),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "its inputs could not be read".to_owned(),
    };
    note(Some(step), notes::retry(end.attempt.saturating_add(1), &why))
}

fn finished(run: &Run, step: StepIndex, end: &StepEnd) -> v1::StepFinished {
    let exit_code = exit_code(Some(end.status), end.exit_code);
    v1::StepFinished {
        step: step_name(Some(run), step),
        status: step_status(end.status).to_owned(),
        cached: end.cached || end.shared,
        duration_ms: end.duration_ms,
        action: end.action.as_ref().map(digest_to_wire),
        exit_code: exit_code.unwrap_or(0),
        has_exit_code: exit_code.is_some(),
        reason: end.reason.as_deref().unwrap_or_default().to_owned(),
        saved_ms: end.saved_ms,
        allow_failure: run.spec().steps.get(step as usize).is_some_and(|step| step.allow_failure),
        tests: None,
        result: Default::default(),
        usage: end.usage.map(|usage| {
            let cullet_core::Usage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes } = usage;
            v1::Usage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes }
        }),
    }
}

impl Told {
    /// With what is in the store. What cannot be read is left out: the event itself is worth more.
    pub(super) async fn complete(self, blobs: &dyn BlobStore) -> v1::RunEvent {
        let Self { mut event, detail } = self;
        let (Some(digest), Some(run_event::Event::StepFinished(finished))) = (detail, &mut event.event)
        else {
            return event;
        };
        match read_detail(blobs, &digest).await {
            Ok(detail) => {
                if finished.reason.is_empty() {
                    finished.reason = detail.reason;
                }
                if !finished.has_exit_code {
                    (finished.exit_code, finished.has_exit_code) = (detail.exit_code, detail.has_exit_code);
                }
                finished.tests = detail.tests;
                finished.result = detail.result;
            }
            Err(error) => tracing::warn!(step = finished.step, %error, "the detail of a step cannot be read"),
        }
        event
    }
}

/// What a worker said of an attempt besides.
///
/// # Errors
/// It cannot be read. What is something else counts as nothing said.
pub(super) async fn read_detail(
    blobs: &dyn BlobStore,
    digest: &Digest,
) -> Result<v1::AttemptDetail, StoreError> {
    let bytes = blobs.get(digest).await?.into_bytes();
    let bytes = bytes.map_err(|error| StoreError::io("read", "the detail of a step", error))?;
    Ok(v1::AttemptDetail::decode(bytes).unwrap_or_default())
}
