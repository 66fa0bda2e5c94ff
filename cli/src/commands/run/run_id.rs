//! Names for runs.

use std::time::{SystemTime, UNIX_EPOCH};

use cullet_core::RunId;

/// A name that no other run has, in the form of a UUID version 7 (RFC 9562): names sort by the time of the run.
pub(super) fn fresh() -> RunId {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = since.as_millis() & 0xffff_ffff_ffff;
    // 122 bits would be better, but two runs that start in one millisecond on one machine are told apart by 64 just as
    // well.
    let random = u128::from(crate::random::number());
    let (high, low) = (random >> 52, random & 0x000f_ffff_ffff_ffff);
    RunId(millis << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_have_the_marks_of_their_version() {
        let (one, two) = (fresh(), fresh());
        assert_ne!(one, two);
        let text = one.to_string();
        assert_eq!((text.len(), &text[12..13]), (32, "7"));
        assert!("89ab".contains(&text[16..17]), "{text}");
    }
}
