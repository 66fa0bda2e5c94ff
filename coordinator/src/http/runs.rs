//! Runs: taking them in, showing them, ending them.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{AUTHORIZATION, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cullet_proto::v1;
use cullet_proto::v1::runs_server::Runs as _;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};

use super::Served;
use super::error::ApiError;
use super::extract::{Asked, Body};
use super::types::{Cancelled, ListQuery, RunDetail, RunPage, Submission, Submitted};

/// The same as gRPC has it, with what says who asks.
fn asked<T>(headers: &HeaderMap, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let caller = headers.get(AUTHORIZATION);
    let caller = caller.and_then(|value| MetadataValue::<Ascii>::try_from(value.as_bytes()).ok());
    if let Some(mut caller) = caller {
        caller.set_sensitive(true);
        request.metadata_mut().insert("authorization", caller);
    }
    request
}

/// Submits a pipeline. Once it is answered, the run survives the loss of any minority of coordinators.
#[utoipa::path(post, path = "/api/v1/runs", operation_id = "submitRun", tag = "runs", request_body = Submission, responses(
    (status = 201, description = "The run was taken in.", body = Submitted),
    (status = 200, description = "The run had been submitted before, under the same `request_id`.", body = Submitted),
))]
pub(super) async fn submit(
    State(served): State<Served>,
    headers: HeaderMap,
    Body(submission): Body<Submission>,
) -> Result<Response, ApiError> {
    let mut request = submission.into_wire()?;
    if request.traceparent.is_empty() {
        let header = headers.get("traceparent").and_then(|value| value.to_str().ok());
        request.traceparent = header.unwrap_or_default().to_owned();
    }
    let answer = served.runs.submit(asked(&headers, request)).await?;
    let v1::SubmitResponse { run, existed } = answer.into_inner();
    let status = if existed { StatusCode::OK } else { StatusCode::CREATED };
    let location = [(LOCATION, format!("/api/v1/runs/{run}"))];
    Ok((status, location, Json(Submitted { run, existed })).into_response())
}

/// Runs, newest first, a page at a time.
#[utoipa::path(get, path = "/api/v1/runs", operation_id = "listRuns", tag = "runs", params(ListQuery), responses(
    (status = 200, description = "A page.", body = RunPage),
))]
pub(super) async fn list(
    State(served): State<Served>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<RunPage>, ApiError> {
    let page = served.runs.list_runs(Request::new(query.into_wire())).await?.into_inner();
    Ok(Json(page.into()))
}

/// A run with its steps. It shows everything that was answered before it was asked.
#[utoipa::path(get, path = "/api/v1/runs/{run}", operation_id = "getRun", tag = "runs", responses(
    (status = 200, description = "The run.", body = RunDetail),
), params(("run" = String, Path, description = "32 hexadecimal digits.")))]
pub(super) async fn show(
    State(served): State<Served>,
    Path(run): Path<String>,
) -> Result<Json<RunDetail>, ApiError> {
    let answer = served.runs.get_run(Request::new(v1::GetRunRequest { run })).await?.into_inner();
    Ok(Json(answer.run.unwrap_or_default().into()))
}

/// Ends a run. A run that has ended stays as it is.
#[utoipa::path(post, path = "/api/v1/runs/{run}/cancel", operation_id = "cancelRun", tag = "runs", responses(
    (status = 200, description = "It is cancelled, or had ended.", body = Cancelled),
), params(("run" = String, Path, description = "32 hexadecimal digits.")))]
pub(super) async fn cancel(
    State(served): State<Served>,
    headers: HeaderMap,
    Path(run): Path<String>,
) -> Result<Json<Cancelled>, ApiError> {
    let answer = served.runs.cancel_run(asked(&headers, v1::CancelRunRequest { run })).await?.into_inner();
    Ok(Json(Cancelled { had_ended: answer.had_ended }))
}
