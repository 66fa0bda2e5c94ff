//! What went wrong, as a client is told.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::engine::{Lost, SubmitError};
use crate::policy::Denied;

/// Until others are done that submit.
const BUSY: Duration = Duration::from_secs(2);

/// Until a worker may have joined.
const WORKER_MAY_COME: Duration = Duration::from_secs(1);

impl From<SubmitError> for Status {
    fn from(error: SubmitError) -> Self {
        let text = error.to_string();
        match error {
            SubmitError::Bad(_) | SubmitError::BadAction(_) => Self::invalid_argument(text),
            SubmitError::Other(_) => Self::already_exists(text),
            SubmitError::NotUploaded(_) => Self::failed_precondition(text),
            // Not a failed precondition: for those, clients send their sources again.
            SubmitError::Forgotten { .. } => Self::already_exists(text),
            SubmitError::NoRoom { retry_after_ms: Some(wait), .. } => {
                again(Code::ResourceExhausted, text, Duration::from_millis(wait))
            }
            SubmitError::NoRoom { retry_after_ms: None, .. } | SubmitError::TooLarge { .. } => {
                Self::invalid_argument(text)
            }
            SubmitError::Busy => again(Code::ResourceExhausted, text, BUSY),
            SubmitError::NoWorker | SubmitError::NoWorkerFor(_) | SubmitError::NoWorkerLike(_) => {
                again(Code::Unavailable, text, WORKER_MAY_COME)
            }
            SubmitError::Store(_) | SubmitError::Lost(_) => Self::unavailable(text),
            SubmitError::Planning => Self::internal(text),
        }
    }
}

impl From<Lost> for Status {
    fn from(lost: Lost) -> Self {
        Self::unavailable(lost.to_string())
    }
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        let text = denied.to_string();
        match denied {
            Denied::NoBearer | Denied::UnknownToken => Self::unauthenticated(text),
            Denied::NotAllowed { .. }
            | Denied::NoUpdates { .. }
            | Denied::Unsigned
            | Denied::NoSender { .. } => Self::permission_denied(text),
        }
    }
}

/// With the time after which it is worth trying again, as `google.rpc.RetryInfo`.
fn again(code: Code, text: String, wait: Duration) -> Status {
    Status::with_error_details(code, text, ErrorDetails::with_retry_info(Some(wait)))
}

#[cfg(test)]
mod tests {
    use cullet_core::{Refusal, RunId};

    use super::*;

    #[test]
    fn who_has_to_wait_is_told_how_long() {
        let refused = |retry_after_ms| {
            Status::from(SubmitError::NoRoom { reason: Refusal::Runs { limit: 3 }, retry_after_ms })
        };
        let later = refused(Some(1500));
        assert_eq!(later.code(), Code::ResourceExhausted);
        let wait = later.get_details_retry_info().unwrap().retry_delay;
        assert_eq!(wait, Some(Duration::from_millis(1500)));
        assert_eq!(refused(None).code(), Code::InvalidArgument);
    }

    #[test]
    fn who_comes_back_after_all_was_forgotten_is_told_what_to_do_and_not_to_ask_again() {
        let status = Status::from(SubmitError::Forgotten { run: RunId(7) });
        assert_eq!(status.code(), Code::AlreadyExists);
        assert!(status.get_details_retry_info().is_none());
        let said = "run 00000000000000000000000000000007 was submitted before with this request id, has ended and is no \
                    longer remembered: use another request id";
        assert_eq!(status.message(), said);
    }
}
