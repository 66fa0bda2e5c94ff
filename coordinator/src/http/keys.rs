//! The keys of a step, to compare them.

use axum::Json;
use axum::extract::{Path, State};
use cullet_proto::v1;
use cullet_proto::v1::runs_server::Runs as _;
use serde::Deserialize;
use tonic::Request;
use utoipa::IntoParams;

use super::Served;
use super::error::ApiError;
use super::extract::Asked;
use super::types::StepKeys;

/// Which step.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct KeysQuery {
    /// The step's name.
    step: String,
}

/// The keys that a step had in earlier runs: what its own is compared with to say why it was executed.
#[utoipa::path(get, path = "/api/v1/runs/{run}/keys", operation_id = "listStepKeys", tag = "runs", responses(
    (status = 200, description = "The keys.", body = StepKeys),
), params(KeysQuery, ("run" = String, Path, description = "32 hexadecimal digits.")))]
pub(super) async fn list(
    State(served): State<Served>,
    Path(run): Path<String>,
    Asked(query): Asked<KeysQuery>,
) -> Result<Json<StepKeys>, ApiError> {
    let request = v1::ListStepKeysRequest { run, step: query.step };
    let keys = served.runs.list_step_keys(Request::new(request)).await?.into_inner();
    Ok(Json(keys.into()))
}
