//! The deadline that a client gives a call.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use tonic::Status;

/// How much sooner than the client gives up it is told so, at most: otherwise it would be told nothing, or that somebody
/// cancelled the call.
const SOONER: Duration = Duration::from_millis(20);

/// Ends a call that has no answer at its deadline: `grpc-timeout`, as the gRPC protocol has it over HTTP/2. What it waits
/// for is dropped with it.
pub(super) async fn keep_deadline(request: Request, next: Next) -> Response {
    let given = request.headers().get("grpc-timeout").and_then(|value| timeout(value.to_str().ok()?));
    let Some(given) = given else { return next.run(request).await };
    let patience = given - SOONER.min(given / 4);
    tokio::time::timeout(patience, next.run(request)).await.unwrap_or_else(|_| {
        let reason = "no answer before the deadline of the call; what it asks for may be done all the same";
        Status::deadline_exceeded(reason).into_http()
    })
}

/// At most eight digits and a unit. None for anything else, which gives no deadline.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_understood_and_nothing_else() {
        assert_eq!(timeout("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(timeout("3M"), Some(Duration::from_secs(180)));
        assert_eq!(timeout("99999999S"), Some(Duration::from_secs(99_999_999)));
        assert_eq!(timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(timeout("250u"), Some(Duration::from_micros(250)));
        assert_eq!(timeout("0n"), Some(Duration::ZERO));
        for wrong in ["", "S", "5", "-1S", "+1S", "1.5S", "123456789S", "5s", "5é"] {
            assert_eq!(timeout(wrong), None, "{wrong:?}");
        }
    }
}
