//! What happens in a run, as a stream of JSON lines or of server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use cullet_proto::v1;
use cullet_proto::v1::runs_server::Runs as _;
use futures_util::stream::unfold;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Request, Status};
use utoipa::{IntoParams, ToSchema};

use super::Served;
use super::error::ApiError;
use super::extract::Asked;
use crate::event::{Event, from_wire, rfc3339};

/// A stream of server-sent events says something at least this often, so that nobody on the way takes it for dead.
const PULSE: Duration = Duration::from_secs(15);

/// From where on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct FollowQuery {
    /// The sequence number of the last event that is known; 0, the default, for all.
    #[serde(default)]
    after: u64,
}

/// One event of a run. Which further fields it has depends on `event`; see docs/events.md.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RunEvent)]
pub(super) struct Line {
    /// From 1 without a gap, the same on every coordinator.
    sequence: u64,
    /// When, RFC 3339 in UTC with milliseconds.
    time: String,
    #[serde(flatten)]
    event: Event,
}

/// How the stream is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Lines,
    ServerSent,
}

/// What happened in a run and what happens, until the run is at its end: a JSON object a line, or server-sent events
/// where `Accept` names `text/event-stream`. The header `Last-Event-ID` counts for more than `after`.
#[utoipa::path(get, path = "/api/v1/runs/{run}/events", operation_id = "followRun", tag = "runs", responses(
    (status = 200, description = "One object for each event.", content(
        (Line = "application/x-ndjson"), (Line = "text/event-stream"))),
    (status = 204, description = "The run is at its end and everything is known: there is nothing to reconnect for."),
), params(FollowQuery, ("run" = String, Path, description = "32 hexadecimal digits."),
    ("Last-Event-ID" = Option<u64>, Header, description = "What a client that reconnects saw last.")))]
pub(super) async fn follow(
    State(served): State<Served>,
    Path(run): Path<String>,
    Asked(query): Asked<FollowQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let form = Form::of(&headers);
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let place = served.streams.enter()?;
    let after = last.unwrap_or(query.after);
    let request = Request::new(v1::WatchRunRequest { run, after });
    let mut events = served.runs.watch_run(request).await?.into_inner();
    // A browser reconnects when a stream ends, until it is told that there is nothing more.
    let first = events.next().now_or_never();
    if matches!(first, Some(None)) && last.is_some() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let events = futures_util::stream::iter(first.flatten()).chain(events);
    let kind = match form {
        Form::Lines => "application/x-ndjson",
        Form::ServerSent => "text/event-stream",
    };
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(told(events, form, place))).into_response())
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
        let wants = |accept: &str| accept.to_ascii_lowercase().contains("text/event-stream");
        if accepted.into_iter().any(wants) { Self::ServerSent } else { Self::Lines }
    }

    fn write(self, event: Result<v1::RunEvent, Status>) -> Bytes {
        let (sequence, text) = match event {
            Ok(wire) => {
                let (sequence, time_ms) = (wire.sequence, wire.time_ms);
                // An event of a later version than this.
                let Some(event) = from_wire(wire) else { return Bytes::new() };
                (Some(sequence), serde_json::to_string(&Line::of(sequence, time_ms, event)))
            }
            Err(status) => (None, serde_json::to_string(&ApiError::from(status).body())),
        };
        // They consist of texts and numbers, which every encoder takes.
        let text = text.unwrap_or_default();
        match (self, sequence) {
            (Self::Lines, _) => format!("{text}\n"),
            (Self::ServerSent, Some(sequence)) => format!("id: {sequence}\ndata: {text}\n\n"),
            (Self::ServerSent, None) => format!("event: error\ndata: {text}\n\n"),
        }
        .into()
    }
}

impl Line {
    /// As docs/events.md has it. The encoded result is for a run's history: large, and no part of the interface.
    pub(super) fn of(sequence: u64, time_ms: u64, mut event: Event) -> Self {
        if let Event::StepFinished(end) = &mut event {
            end.result = None;
        }
        Self { sequence, time: rfc3339(time_ms), event }
    }
}

fn told(
    events: impl Stream<Item = Result<v1::RunEvent, Status>> + Send + Unpin + 'static,
    form: Form,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    unfold((events, place), move |(mut events, place)| async move {
        let bytes = match form {
            Form::Lines => form.write(events.next().await?),
            Form::ServerSent => match tokio::time::timeout(PULSE, events.next()).await {
                Ok(event) => form.write(event?),
                Err(_) => Bytes::from_static(b": still there\n\n"),
            },
        };
        Some((Ok(bytes), (events, place)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued() -> v1::RunEvent {
        let event = v1::run_event::Event::StepQueued(v1::StepQueued { step: "a".to_owned() });
        v1::RunEvent { sequence: 7, time_ms: 1_763_000_000_120, event: Some(event) }
    }

    const TEXT: &str = r#"{"sequence":7,"time":"2025-11-13T02:13:20.120Z","event":"step_queued","step":"a"}"#;

    #[test]
    fn an_event_is_one_line_or_one_server_sent_event() {
        assert_eq!(Form::Lines.write(Ok(queued())), format!("{TEXT}\n"));
        assert_eq!(Form::ServerSent.write(Ok(queued())), format!("id: 7\ndata: {TEXT}\n\n"));
    }

    #[test]
    fn what_ends_a_stream_is_said_in_it() {
        let lines = Form::Lines.write(Err(Status::unavailable("gone")));
        assert_eq!(
            lines,
            "{\"error\":{\"code\":\"unavailable\",\"message\":\"gone\",\"retry_after_ms\":1000}}\n"
        );
        assert!(
            Form::ServerSent.write(Err(Status::unavailable("gone"))).starts_with(b"event: error\ndata: {")
        );
    }

    #[test]
    fn the_encoded_result_stays_behind() {
        let end =
            v1::StepFinished { step: "a".to_owned(), result: b"x".to_vec().into(), ..Default::default() };
        let event = Some(v1::run_event::Event::StepFinished(end));
        let line = Form::Lines.write(Ok(v1::RunEvent { event, ..queued() }));
        assert!(!String::from_utf8_lossy(&line).contains("result"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_of_server_sent_events_shows_that_it_lives() {
        let place = super::super::limits::Streams::default().enter().unwrap();
        let events = futures_util::stream::iter([Ok(queued())]).chain(futures_util::stream::pending());
        let mut told = Box::pin(told(events, Form::ServerSent, place));
        assert!(told.next().await.unwrap().unwrap().starts_with(b"id: 7"));
        assert_eq!(told.next().await.unwrap().unwrap(), ": still there\n\n");
    }
}
