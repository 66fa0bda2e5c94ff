//! Durations: `90s`, `10m`, `1h30m`.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::decode::{Accepts, Scalar};
use crate::expr::Complaint;
use crate::yaml::Kind;

/// Units from large to small, with their milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Thirty days: no step is meant to run longer, and a slip such as `100000h` is caught.
const LONGEST_MS: u64 = 30 * 86_400_000;

/// How long something may take: never zero.
pub(crate) struct Period;

impl Scalar for Period {
    type Value = Duration;
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "a duration such as 90s, 10m or 1h30m";

    fn parse(text: &str) -> Result<Duration, Complaint> {
        let complain = |message: String| Complaint::new(message).help(help(text));
        let total = millis(text).ok_or_else(|| complain(format!("`{text}` is not a duration")))?;
        match total {
            0 => Err(complain(format!("`{text}` leaves no time at all"))),
            _ if total > LONGEST_MS => Err(complain(format!("`{text}` is longer than 30d"))),
            _ => Ok(Duration::from_millis(total)),
        }
    }

    fn hint(text: &str, kind: Kind) -> Option<String> {
        matches!(kind, Kind::Int | Kind::Float).then(|| format!("say the unit: `{text}s` or `{text}m`"))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^([0-9]+(ms|[dhms]))+$" })
    }
}

/// A duration of any length, as one is written in a pipeline: `90s`, `1h30m`, `30d`.
///
/// # Errors
/// It is none; for people.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    millis(text).map(Duration::from_millis).ok_or_else(|| {
        let help = help(text).unwrap_or_default();
        format!("'{text}' is not a duration: {help}")
    })
}

fn help(text: &str) -> Option<String> {
    let forms = "write it as 90s, 10m, 1h30m or 500ms";
    Some(match text.parse::<u64>() {
        Ok(number) if number > 0 => format!("say the unit: `{number}s` or `{number}m`"),
        _ => forms.to_owned(),
    })
}

/// The sum of numbers with units, each unit once and from large to small.
fn millis(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut allowed = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let letters = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |n| digits + n);
        let unit = UNITS.iter().position(|(unit, _)| *unit == &rest[digits..letters])?;
        if unit < allowed {
            return None;
        }
        allowed = unit + 1;
        total = total.checked_add(number.checked_mul(UNITS[unit].1)?)?;
        rest = &rest[letters..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_promises() {
        for (text, seconds) in
            [("90s", 90.0), ("10m", 600.0), ("1h30m", 5400.0), ("500ms", 0.5), ("1d", 86400.0)]
        {
            assert_eq!(Period::parse(text).unwrap().as_secs_f64(), seconds, "{text}");
        }
        for text in
            ["", "0s", "10", "m", "1.5h", "1m1h", "1s1s", "-1s", "1 h", "31d", "1y", "9".repeat(30).as_str()]
        {
            assert!(Period::parse(text).is_err(), "{text}");
        }
    }
}
