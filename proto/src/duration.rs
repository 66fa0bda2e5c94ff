//! Durations in messages.

use std::time::Duration;

/// What a duration in a message means; none where it is negative, or none at all. The conversion of `prost_types` takes the smallest number of
/// seconds, which has no positive counterpart, for one that has.
pub fn duration(said: &prost_types::Duration) -> Option<Duration> {
    let nanos = u32::try_from(said.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(u64::try_from(said.seconds).ok()?, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_that_a_message_may_have() {
        let of = |seconds, nanos| duration(&prost_types::Duration { seconds, nanos });
        assert_eq!(of(0, 0), Some(Duration::ZERO));
        assert_eq!(of(2, 5), Some(Duration::new(2, 5)));
        assert_eq!(of(i64::MAX, 999_999_999), Some(Duration::new(i64::MAX as u64, 999_999_999)));
        for (seconds, nanos) in [
            (-1, 0),
            (0, -1),
            (1, -1),
            (i64::MIN, 0),
            (i64::MIN, i32::MIN),
            (0, 1_000_000_000),
            (0, i32::MAX),
        ] {
            assert_eq!(of(seconds, nanos), None, "{seconds} {nanos}");
        }
    }
}
