//! What an attempt prints, as bytes.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use cullet_proto::v1;
use cullet_proto::v1::log_chunk::Stream as From;
use cullet_proto::v1::runs_server::Runs as _;
use futures_util::{Stream, StreamExt as _};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Request, Status};
use utoipa::{IntoParams, ToSchema};

use super::Served;
use super::error::ApiError;
use super::extract::Asked;

/// Which log, and which part of it.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    /// The step's name.
    step: String,
    /// Counts from 1; the newest by default.
    #[serde(default)]
    attempt: u32,
    /// Bytes to leave out, of both streams together.
    #[serde(default)]
    offset: u64,
    /// Whether to go on until the attempt is at its end.
    #[serde(default)]
    follow: bool,
    /// Which of the two streams; both by default, as they were printed.
    #[serde(default)]
    #[param(inline)]
    stream: Wanted,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Wanted {
    Stdout,
    Stderr,
    #[default]
    Both,
}

/// What an attempt printed: bytes, as the process wrote them.
#[utoipa::path(get, path = "/api/v1/runs/{run}/log", operation_id = "readLog", tag = "runs", responses(
    (status = 200, description = "The bytes. The connection is cut where the rest cannot be read.",
        content_type = "text/plain", body = String),
), params(LogQuery, ("run" = String, Path, description = "32 hexadecimal digits.")))]
pub(super) async fn read(
    State(served): State<Served>,
    Path(run): Path<String>,
    Asked(query): Asked<LogQuery>,
) -> Result<Response, ApiError> {
    let place = served.streams.enter()?;
    let LogQuery { step, attempt, offset, follow, stream } = query;
    let request = v1::ReadLogRequest { run, step, attempt, offset, follow };
    let mut pieces = served.runs.read_log(Request::new(request)).await?.into_inner();
    // What is wrong from the start has a status of its own. A log that is followed may say nothing for long.
    let first = if follow { None } else { pieces.next().await.transpose()? };
    let pieces = futures_util::stream::iter(first.map(Ok)).chain(pieces);
    // It is whatever a step printed: no browser is to take it for a page.
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(bytes(pieces, stream, place))).into_response())
}

/// The bytes of the streams that are wanted. An error cuts the connection, so that a part is not taken for the whole.
fn bytes(
    pieces: impl Stream<Item = Result<v1::LogChunk, Status>> + Send + 'static,
    wanted: Wanted,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Status>> + Send {
    pieces.filter_map(move |piece| {
        let _while_it_is_read = &place;
        let wanted = match piece {
            Ok(piece) => wants(wanted, piece.stream()).then_some(Ok(piece.data)),
            Err(status) => Some(Err(status)),
        };
        std::future::ready(wanted)
    })
}

const fn wants(wanted: Wanted, stream: From) -> bool {
    match wanted {
        Wanted::Both => true,
        Wanted::Stdout => !matches!(stream, From::Stderr),
        Wanted::Stderr => matches!(stream, From::Stderr),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_stream_can_be_had_alone_and_trouble_cuts_it() {
        let piece = |stream: From, data: &'static [u8]| v1::LogChunk {
            offset: 0,
            stream: stream.into(),
            data: Bytes::from_static(data),
        };
        let read = async |wanted| {
            let pieces = [
                Ok(piece(From::Stdout, b"out")),
                Ok(piece(From::Stderr, b"err")),
                Err(Status::data_loss("gone")),
            ];
            let place = super::super::limits::Streams::default().enter().unwrap();
            let all: Vec<_> = bytes(futures_util::stream::iter(pieces), wanted, place).collect().await;
            assert!(all.last().unwrap().is_err());
            all.into_iter().filter_map(Result::ok).collect::<Vec<_>>().concat()
        };
        assert_eq!(read(Wanted::Both).await, b"outerr");
        assert_eq!(read(Wanted::Stdout).await, b"out");
        assert_eq!(read(Wanted::Stderr).await, b"err");
    }
}
