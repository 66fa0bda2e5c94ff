//! What an error of a call means for whoever called.

use std::error::Error as _;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Whether to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Somebody else may answer, or the same one in a moment.
    Elsewhere,
    /// There is no room now; ask again after this.
    Later(Duration),
    /// The answer is no.
    Final,
}

/// What a server that has no room and does not say when there will be some is given.
const UNSAID: Duration = Duration::from_secs(1);

/// The longest pause that a server may ask for: somebody is waiting.
const LONGEST: Duration = Duration::from_secs(30);

/// The shortest one, so that nobody is asked in a circle.
const SHORTEST: Duration = Duration::from_millis(50);

/// What `status` means.
pub(super) fn verdict(status: &Status) -> Verdict {
    match status.code() {
        Code::ResourceExhausted => {
            let said = status.get_details_retry_info().and_then(|info| info.retry_delay);
            Verdict::Later(said.unwrap_or(UNSAID).clamp(SHORTEST, LONGEST))
        }
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented => Verdict::Final,
        // A connection that breaks shows as one of these, depending on when.
        Code::Unavailable
        | Code::Unknown
        | Code::Cancelled
        | Code::Internal
        | Code::DataLoss
        | Code::Aborted
        | Code::DeadlineExceeded => Verdict::Elsewhere,
    }
}

/// Whether a server said this, rather than the way to it.
pub(super) fn was_answered(status: &Status) -> bool {
    status.source().is_none() && status.code() == Code::Unavailable
}

/// In words: of an error on the way to a server the innermost cause, which is the one that says something.
pub(super) fn why(status: &Status) -> String {
    let mut said = status.message().to_owned();
    let mut cause = status.source();
    while let Some(source) = cause {
        said = source.to_string();
        cause = source.source();
    }
    if said.is_empty() { status.code().description().to_owned() } else { said }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for code in
            [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::DeadlineExceeded, Code::Internal]
        {
            assert_eq!(verdict(&Status::new(code, "x")), Verdict::Elsewhere, "{code:?}");
        }
        for code in [
            Code::InvalidArgument,
            Code::NotFound,
            Code::AlreadyExists,
            Code::FailedPrecondition,
            Code::Unimplemented,
        ] {
            assert_eq!(verdict(&Status::new(code, "x")), Verdict::Final, "{code:?}");
        }
    }

    #[test]
    fn a_full_queue_says_how_long_to_wait() {
        let full = |delay: Option<Duration>| {
            let details = ErrorDetails::with_retry_info(delay);
            verdict(&Status::with_error_details(Code::ResourceExhausted, "full", details))
        };
        let seconds = Duration::from_secs;
        assert_eq!(full(Some(seconds(7))), Verdict::Later(seconds(7)));
        assert_eq!(full(Some(seconds(7000))), Verdict::Later(LONGEST));
        assert_eq!(full(Some(Duration::ZERO)), Verdict::Later(SHORTEST));
        assert_eq!(verdict(&Status::resource_exhausted("full")), Verdict::Later(UNSAID));
    }

    #[test]
    fn the_innermost_cause_is_said() {
        let cause = std::io::Error::other("Connection refused");
        let status = Status::from_error(Box::new(cause));
        assert!(why(&status).contains("Connection refused"), "{}", why(&status));
        assert_eq!(why(&Status::unavailable("no leader")), "no leader");
        assert!(was_answered(&Status::unavailable("no leader")) && !was_answered(&status));
    }
}
