//! What a coordinator knows.

use axum::Json;
use axum::extract::State;

use super::Served;
use super::types::ClusterStatus;

/// What this coordinator knows. It asks no other one, so that it works when nothing else does.
#[utoipa::path(get, path = "/api/v1/status", operation_id = "getStatus", tag = "cluster", responses(
    (status = 200, description = "What it knows.", body = ClusterStatus),
))]
pub(super) async fn show(State(served): State<Served>) -> Json<ClusterStatus> {
    Json(crate::cluster::status(served.engine.seat()).into())
}
