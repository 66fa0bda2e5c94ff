//! Sizes in bytes as people write and read them.

/// The units, largest first. Powers of 1024 are shown; powers of 1000 are only understood.
const UNITS: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// `17 B`, `1.5 GiB`.
pub fn human(bytes: u64) -> String {
    let unit = UNITS[..4].iter().find(|(_, size)| bytes >= *size);
    match unit {
        // Cut after one digit, in integers: u64 does not fit a float.
        Some((name, size)) => format!("{}.{} {name}", bytes / size, bytes % size * 10 / size),
        None => format!("{bytes} B"),
    }
}

/// Bytes from `2GiB`, `1.5 GB`, `512M` (binary, as `MiB`), `4096`.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not a size: write a number and a unit, such as 512MiB or 10GiB");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim());
    let factor = match unit {
        "" => 1,
        "K" | "k" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(wrong);
    }
    let fraction: f64 = number.parse().map_err(|_| wrong())?;
    let bytes = fraction * factor as f64;
    if bytes.is_finite() && bytes < 9e18 { Ok(bytes as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_with_one_digit_after_the_point() {
        assert_eq!(human(0), "0 B");
        assert_eq!(human(1023), "1023 B");
        assert_eq!(human(1536), "1.5 KiB");
        assert_eq!(human(u64::MAX), "16777215.9 TiB");
    }

    #[test]
    fn sizes_are_understood_in_both_kinds_of_unit() {
        assert_eq!(parse("2GiB"), Ok(2 << 30));
        assert_eq!(parse("1.5 kB"), Ok(1500));
        assert_eq!(parse("512M"), Ok(512 << 20));
        assert_eq!(parse("4096"), Ok(4096));
        for wrong in ["", "GiB", "-1", "1 parsec", "99999999999TiB", "1.2.3", "."] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
