//! What went wrong, as JSON.

use std::time::Duration;

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;
use utoipa::ToSchema;

/// Until an election is over, for answers that do not say it themselves.
const ELECTION: Duration = Duration::from_secs(1);

/// What every answer holds that is no success.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetail {
    /// The name of a gRPC code in lower case, such as `not_found` or `resource_exhausted`.
    code: &'static str,
    /// For people.
    message: String,
    /// Milliseconds after which it is worth trying again; null where it is not.
    retry_after_ms: Option<u64>,
}

/// An answer that is no success.
#[derive(Debug)]
pub(super) struct ApiError {
    http: StatusCode,
    detail: ErrorDetail,
}

impl ApiError {
    fn new(http: StatusCode, code: Code, message: impl Into<String>) -> Self {
        let detail = ErrorDetail { code: name(code), message: message.into(), retry_after_ms: None };
        Self { http, detail }
    }

    /// The request is wrong.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidArgument, message)
    }

    /// The request is larger than it may be.
    pub(super) fn too_large(limit: usize) -> Self {
        let message = format!("a request has at most {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::InvalidArgument, message)
    }

    /// The request is not JSON, by its own word.
    pub(super) fn kind() -> Self {
        let message = "send JSON, with the header Content-Type: application/json";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument, message)
    }

    /// Nothing is at this path.
    pub(super) fn route(path: &str) -> Self {
        let message = format!("there is nothing at {path}; {} lists what there is", super::api::DESCRIPTION);
        Self::new(StatusCode::NOT_FOUND, Code::Unimplemented, message)
    }

    /// Something is at this path, for another method.
    pub(super) fn method() -> Self {
        let message = "this path does not take this method";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, message)
    }

    /// There was no answer in time.
    pub(super) fn late() -> Self {
        Status::deadline_exceeded("the cluster did not answer in time; it may have done what was asked")
            .into()
    }

    /// As a part of a stream that has begun.
    pub(super) fn body(self) -> ErrorBody {
        ErrorBody { error: self.detail }
    }
}

impl From<Status> for ApiError {
    fn from(status: Status) -> Self {
        let code = status.code();
        let told = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let wait = told.or((code == Code::Unavailable).then_some(ELECTION));
        let mut this = Self::new(http(code), code, status.message());
        this.detail.retry_after_ms = wait.map(|wait| wait.as_millis() as u64);
        this
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let wait = self.detail.retry_after_ms;
        let mut response = (self.http, Json(self.body())).into_response();
        if let Some(wait) = wait {
            let seconds = HeaderValue::from(wait.div_ceil(1000));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

const fn http(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable | Code::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The name of a code in lower case.
pub(crate) const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::SubmitError;

    #[test]
    fn a_full_queue_says_when_to_come_back() {
        let reason = cullet_core::Refusal::Runs { limit: 3 };
        let refused = SubmitError::NoRoom { reason, retry_after_ms: Some(1500) };
        let response = ApiError::from(Status::from(refused)).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
    }

    #[test]
    fn what_was_forgotten_is_a_conflict() {
        let refused = SubmitError::Forgotten { run: cullet_core::RunId(7) };
        let response = ApiError::from(Status::from(refused)).into_response();
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert!(!response.headers().contains_key(RETRY_AFTER));
    }

    #[test]
    fn what_will_never_work_says_nothing_of_trying_again() {
        let error = ApiError::from(Status::not_found("x"));
        assert_eq!((error.http, error.detail.retry_after_ms), (StatusCode::NOT_FOUND, None));
        assert_eq!(ApiError::from(Status::unavailable("x")).detail.retry_after_ms, Some(1000));
    }
}
