//! What a plain scalar means: the core schema of YAML 1.2.2 §10.3.

use super::Kind;

/// The type of an unquoted scalar.
pub(super) fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Kind::Bool,
        _ if is_int(text) => Kind::Int,
        _ if is_float(text) => Kind::Float,
        _ => Kind::Str,
    }
}

fn is_int(text: &str) -> bool {
    if let Some(octal) = text.strip_prefix("0o") {
        return !octal.is_empty() && octal.bytes().all(|b| (b'0'..=b'7').contains(&b));
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    is_digits(text.strip_prefix(['-', '+']).unwrap_or(text))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|e| is_digits(e.strip_prefix(['-', '+']).unwrap_or(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_core_schema() {
        for (text, kind) in [
            ("", Kind::Null),
            ("~", Kind::Null),
            ("null", Kind::Null),
            ("nULL", Kind::Str),
            ("true", Kind::Bool),
            ("yes", Kind::Str),
            ("off", Kind::Str),
            ("12", Kind::Int),
            ("-12", Kind::Int),
            ("0o17", Kind::Int),
            ("0o18", Kind::Str),
            ("0xfF", Kind::Int),
            ("1_000", Kind::Str),
            ("1.", Kind::Float),
            (".5", Kind::Float),
            ("-1.5e+3", Kind::Float),
            ("1e3", Kind::Float),
            ("e3", Kind::Str),
            (".", Kind::Str),
            ("-", Kind::Str),
            ("1.2.3", Kind::Str),
            (".inf", Kind::Float),
            ("-.INF", Kind::Float),
            (".nan", Kind::Float),
            ("-.nan", Kind::Str),
            ("12:30", Kind::Str),
        ] {
            assert_eq!(resolve(text), kind, "{text:?}");
        }
    }
}
