//! Amounts of processor and memory.

use serde_json::{Value as Json, json};

use crate::decode::{Accepts, Scalar};
use crate::expr::Complaint;
use crate::yaml::Kind;

/// No machine has more processors than this; a larger number is a memory size in the wrong place.
const MOST_CPUS: f64 = 10_000.0;
/// Nor more memory: a pebibyte.
const MOST_BYTES: f64 = 1_125_899_906_842_624.0;

/// Processors: `2`, `0.5`, `500m`; in thousandths.
pub(crate) struct Cpu;

impl Scalar for Cpu {
    type Value = u32;
    const ACCEPTS: Accepts = Accepts::Numbers;
    const EXPECTED: &'static str = "a number of processors such as 2, 0.5 or 500m";

    fn parse(text: &str) -> Result<u32, Complaint> {
        let complain = |message| Complaint::new(message).help("write it as 2, 0.5 or 500m".to_owned());
        let millis = match text.strip_suffix('m') {
            Some(millis) => millis.parse::<u32>().ok().map(f64::from),
            None => decimal(text).map(|cpus| cpus * 1000.0),
        };
        let millis = millis.ok_or_else(|| complain(format!("`{text}` is not a number of processors")))?;
        if millis < 1.0 {
            return Err(complain(format!("`{text}` processors cannot run anything")));
        }
        if millis > MOST_CPUS * 1000.0 {
            return Err(complain(format!("`{text}` is more than {MOST_CPUS} processors")));
        }
        Ok(millis.round() as u32)
    }

    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "number", "exclusiveMinimum": 0 },
            { "type": "string", "pattern": r"^([0-9]+m|[0-9]+(\.[0-9]+)?)$" },
        ] })
    }
}

/// Processors as they are written in a pipeline, in thousandths: `2`, `0.5`, `500m`.
///
/// # Errors
/// There are none; for people.
pub fn parse_cpu(text: &str) -> Result<u32, String> {
    Cpu::parse(text).map_err(|complaint| complaint.message)
}

/// Memory as it is written in a pipeline, in bytes: `512MiB`, `2GiB`, `1.5GB`.
///
/// # Errors
/// It is no size; for people.
pub fn parse_memory(text: &str) -> Result<u64, String> {
    Memory::parse(text).map_err(|complaint| complaint.message)
}

const UNITS: [(&str, f64); 9] = [
    ("B", 1.0),
    ("kB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
];

/// Memory: `512MiB`, `2GiB`, `1.5GB`; in bytes.
pub(crate) struct Memory;

impl Scalar for Memory {
    type Value = u64;
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "a size such as 512MiB or 2GiB";

    fn parse(text: &str) -> Result<u64, Complaint> {
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| factor);
        let (Some(number), Some(factor)) = (decimal(number), factor) else {
            return Err(Complaint::new(format!("`{text}` is not a size")).help(size_help(number, unit)));
        };
        let bytes = number * factor;
        if bytes < 1.0 {
            return Err(Complaint::new(format!("`{text}` is no memory at all")));
        }
        if bytes > MOST_BYTES {
            return Err(Complaint::new(format!("`{text}` is more than 1024TiB")));
        }
        Ok(bytes.round() as u64)
    }

    fn hint(text: &str, kind: Kind) -> Option<String> {
        matches!(kind, Kind::Int | Kind::Float).then(|| format!("say the unit: `{text}B` or `{text}MiB`"))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$" })
    }
}

fn size_help(number: &str, unit: &str) -> String {
    let wanted = match unit.to_ascii_lowercase().as_str() {
        "k" | "ki" | "kib" => Some("KiB"),
        "m" | "mi" | "mib" => Some("MiB"),
        "g" | "gi" | "gib" => Some("GiB"),
        "t" | "ti" | "tib" => Some("TiB"),
        _ => None,
    };
    match wanted {
        Some(unit) if decimal(number).is_some() => format!("did you mean `{number}{unit}`?"),
        _ => "write it as 512MiB, 2GiB or 1.5GB".to_owned(),
    }
}

/// A plain decimal number, unlike what `f64` takes: no sign, exponent, infinity.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.starts_with(|c: char| c != '.');
    if plain && !text.ends_with('.') { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_processors() {
        for (text, millis) in [("2", 2000), ("0.5", 500), ("500m", 500), ("1.25", 1250), ("0.001", 1)] {
            assert_eq!(Cpu::parse(text).unwrap(), millis, "{text}");
        }
        for text in ["", "0", "0m", "-1", "1e3", "inf", "m", "2.", ".5", "10001", "0.0001", "1.5m"] {
            assert!(Cpu::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_sizes() {
        for (text, bytes) in [("1B", 1), ("2GiB", 2 << 30), ("1.5KiB", 1536), ("3MB", 3_000_000)] {
            assert_eq!(Memory::parse(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "0GiB", "2G", "GiB", "2 GiB", "-1B", "1.2.3B", "9999999TiB", "1PiB"] {
            assert!(Memory::parse(text).is_err(), "{text}");
        }
        assert_eq!(Memory::parse("2G").unwrap_err().help.unwrap(), "did you mean `2GiB`?");
    }
}
