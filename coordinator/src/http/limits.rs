//! Bounds of what one client may take.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::error::ApiError;

/// Bytes of a request: a submission carries a pipeline of up to 8 MiB, and JSON may write a character as six.
pub(super) const BODY: usize = 16 << 20;

/// How long it may take until an answer begins, the body of the request included: longer than a call that was passed
/// on to the leader and a follower that catches up afterwards.
const ANSWER: Duration = Duration::from_secs(25);

/// Streams of events and logs at a time. Each costs some kilobytes; a frontend needs two for each run that somebody
/// looks at.
const STREAMS: usize = 4096;

/// Gives up on what takes too long to begin. Streams may go on for as long as a run does.
pub(super) async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::late().into_response(),
    }
}

/// Places for streams.
#[derive(Debug, Clone)]
pub(super) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS)))
    }
}

impl Streams {
    /// A place for as long as it is held.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let full = |_| Status::unavailable("this coordinator serves as many streams as it can; try another");
        Arc::clone(&self.0).try_acquire_owned().map_err(full).map_err(ApiError::from)
    }
}
