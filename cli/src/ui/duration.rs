//! Durations as people read them.

use std::time::Duration;

pub use cullet_coordinator::event::rfc3339;

/// Three digits or so: `340ms`, `12.3s`, `4m 07s`, `2h 05m`, `3d 04h`.
pub fn human(duration: Duration) -> String {
    let ms = duration.as_millis();
    let s = duration.as_secs();
    match s {
        0 => format!("{ms}ms"),
        // Cut, not rounded: 59.96 s must not become "60.0s".
        1..60 => format!("{s}.{}s", ms % 1000 / 100),
        60..3600 => format!("{}m {:02}s", s / 60, s % 60),
        3600..86_400 => format!("{}h {:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d {:02}h", s / 86_400, s % 86_400 / 3600),
    }
}

/// [`human`] for milliseconds.
pub fn human_ms(ms: u64) -> String {
    human(Duration::from_millis(ms))
}

/// How long ago something was, in its largest unit: `just now`, `5 minutes ago`. Both in milliseconds since
/// the Unix epoch; a time in the future is `just now`, for clocks differ.
pub fn ago(then_ms: u64, now_ms: u64) -> String {
    let s = now_ms.saturating_sub(then_ms) / 1000;
    let (count, unit) = match s {
        0..5 => return "just now".to_owned(),
        5..60 => (s, "second"),
        60..3600 => (s / 60, "minute"),
        3600..86_400 => (s / 3600, "hour"),
        _ => (s / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

/// Milliseconds since the Unix epoch, now; 0 on a clock set before it.
pub fn now_ms() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_about_three_digits() {
        let cases = [
            (0, "0ms"),
            (999, "999ms"),
            (1000, "1.0s"),
            (59_999, "59.9s"),
            (60_000, "1m 00s"),
            (3_599_999, "59m 59s"),
            (3_600_000, "1h 00m"),
            (86_399_999, "23h 59m"),
            (90_000_000, "1d 01h"),
        ];
        for (ms, text) in cases {
            assert_eq!(human_ms(ms), text);
        }
    }

    #[test]
    fn times_are_rfc_3339_with_milliseconds_always() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(1_763_000_000_120), "2025-11-13T02:13:20.120Z");
    }

    #[test]
    fn ages_use_one_unit() {
        assert_eq!(ago(10_000, 9_000), "just now");
        assert_eq!(ago(0, 60_000), "1 minute ago");
        assert_eq!(ago(0, 7_200_000), "2 hours ago");
    }
}
