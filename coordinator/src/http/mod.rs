//! What a coordinator answers over plain HTTP, on the same port: the calls of `cullet.v1` as JSON, for whoever cannot
//! speak gRPC, and what probes ask. See docs/http.md.

mod api;
mod cache;
mod error;
mod events;
mod extract;
mod keys;
mod limits;
mod log;
mod runs;
mod status;
mod types;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use cullet_cache::KeyedValues;
use tonic::Status;

use crate::engine::Engine;
use crate::metrics::{CONTENT_TYPE as CONTENT, Metrics};
use crate::services::EngineResults;
use api::Api;
pub(crate) use error::name as code_name;

use error::ApiError;
use limits::Streams;

/// What handlers need.
#[derive(Debug, Clone)]
struct Served {
    engine: Engine,
    runs: crate::services::RunsApi,
    streams: Streams,
}

/// All paths.
pub(crate) fn router(engine: Engine, results: EngineResults, values: Option<KeyedValues>) -> Router {
    let cached = values.map_or_else(Router::new, |values| cache::router(results, values));
    let (api, description) = api(engine.metrics()).split();
    let runs = crate::services::RunsApi::new(engine.clone());
    let served = Served { engine, runs, streams: Streams::default() };
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(measured))
        .merge(api)
        .route(api::DESCRIPTION, get(|| async move { description.into_response() }))
        .method_not_allowed_fallback(|| async { ApiError::method() })
        .fallback(nothing)
        .layer(DefaultBodyLimit::max(limits::BODY))
        .layer(from_fn(limits::in_time))
        .with_state(served)
        // Values may take as long as their bytes do.
        .merge(cached)
}

/// Everything that the OpenAPI document describes.
fn api(metrics: &Arc<Metrics>) -> Api {
    Api::new(metrics)
        .add::<runs::__path_submit, _, _>(runs::submit)
        .add::<runs::__path_list, _, _>(runs::list)
        .add::<runs::__path_show, _, _>(runs::show)
        .add::<runs::__path_cancel, _, _>(runs::cancel)
        .add::<events::__path_follow, _, _>(events::follow)
        .add::<log::__path_read, _, _>(log::read)
        .add::<keys::__path_list, _, _>(keys::list)
        .add::<status::__path_show, _, _>(status::show)
}

/// Whether this coordinator can take part in deciding.
async fn ready(State(served): State<Served>) -> (StatusCode, String) {
    match served.engine.seat().not_ready() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

/// What this coordinator counts, for Prometheus.
async fn measured(State(served): State<Served>) -> Response {
    ([(CONTENT_TYPE, CONTENT)], served.engine.metrics().text()).into_response()
}

/// There is nothing at this path. A gRPC client is told in its own terms.
async fn nothing(request: Request) -> Response {
    let kind = request.headers().get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        let status = Status::unimplemented(format!("there is no method {}", request.uri().path()));
        return status.into_http::<axum::body::Body>();
    }
    ApiError::route(request.uri().path()).into_response()
}
