//! What a coordinator answers over plain HTTP, on the same port.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::engine::Engine;

/// All paths.
pub(crate) fn router(engine: Engine) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .with_state(engine)
}

/// Whether this coordinator can take part in deciding.
async fn ready(State(engine): State<Engine>) -> (StatusCode, String) {
    match engine.seat().not_ready() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}
