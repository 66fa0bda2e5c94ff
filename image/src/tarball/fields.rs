//! Fields of a header block. Source: POSIX.1-2017, `pax`, "ustar Interchange Format"; GNU tar manual, "Basic Tar
//! Format", for numbers in base 256.

/// A number: octal digits between spaces, up to a NUL, or base 256. An empty field is nought. One that begins with a NUL
/// and goes on has a number for some programs and none for others.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    match first {
        0x80 | 0xff => return base_256(*first, rest),
        0 if rest.iter().any(|byte| !matches!(byte, 0 | b' ')) => return None,
        _ => (),
    }
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    let start = field[..end].iter().position(|byte| *byte != b' ').unwrap_or(end);
    let last = field[..end].iter().rposition(|byte| *byte != b' ').map_or(start, |last| last + 1);
    let digits = &field[start..last];
    digits.iter().try_fold(0i64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// Big-endian two's complement whose first bit is the mark. Not every program knows other marks than these two, which have
/// room for whatever is a number here.
fn base_256(first: u8, rest: &[u8]) -> Option<i64> {
    // The second bit is the sign.
    let start = i64::from(first & 0x7f) - i64::from(first & 0x40) * 2;
    rest.iter().try_fold(start, |sum, byte| sum.checked_mul(256)?.checked_add(i64::from(*byte)))
}

/// A decimal number of an extended header: digits only.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let good = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    good.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// Seconds and nanoseconds of an extended header: a decimal number that may have a sign and a fraction. Further
/// digits than nanoseconds have are cut off.
pub(super) fn time(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds = i64::try_from(decimal(whole.as_bytes())?).ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(match (negative, nanos) {
        (false, nanos) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        // Times count forward from the second below.
        (true, nanos) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

#[test]
fn numbers_in_every_form() {
    assert_eq!(number(b"0000644\0"), Some(0o644));
    assert_eq!(number(b" 644 \0  "), Some(0o644));
    assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
    assert_eq!(number(b"77777777777"), Some(0o77_777_777_777));
    assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x01\0"), Some(256));
    assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), Some(-1));
    assert_eq!(number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), None, "too large");
    assert_eq!(number(b"\x81\0\0\0\0\0\0\x01"), None, "another mark");
    assert_eq!(number(b"\x000000001000\0"), None, "512 for who skips the NUL");
    assert_eq!(number(b"\0 \0    \0"), Some(0));
    assert_eq!(number(b"       "), Some(0));
    assert_eq!(number(b"12\0 34\0 "), Some(0o12));
    for odd in [&b"12x\0"[..], b"12 34\0", b"\t12\0", b"12\n\0", b"+12\0"] {
        assert_eq!(number(odd), None, "{}", odd.escape_ascii());
    }
    assert_eq!(number(b"-1\0"), None);
}

#[test]
fn decimals_and_times() {
    assert_eq!(decimal(b"8589934592"), Some(8_589_934_592));
    assert_eq!((decimal(b""), decimal(b"+1"), decimal(b"99999999999999999999")), (None, None, None));
    assert_eq!(time(b"1.5"), Some((1, 500_000_000)));
    assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
    assert_eq!(time(b"7"), Some((7, 0)));
    assert_eq!(time(b"1.1234567899"), Some((1, 123_456_789)));
    assert_eq!((time(b""), time(b"1.x"), time(b"--1")), (None, None, None));
}
