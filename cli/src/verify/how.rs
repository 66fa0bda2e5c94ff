//! How two files differ that should be the same.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use similar::{Algorithm, ChangeTag, DiffOp, TextDiff};

use super::token::{Cause, Window, cause};
use crate::ui::clean;

/// Lines that are shown of two texts.
const LINES: usize = 10;

/// Characters that are shown of a line.
const COLUMNS: usize = 160;

/// Characters that are shown before what differs, where that is so far behind that the line does not begin at its beginning.
const BEFORE: usize = 40;

/// Texts are compared by lines up to this size, each; beyond it as bytes.
const TEXT_BYTES: usize = 1 << 20;

/// How long lines are compared; after that the comparison is a rough one.
const PATIENCE: Duration = Duration::from_secs(1);

/// Places at which bytes differ that are looked at.
const PLACES: usize = 64;

/// Bytes that are shown of each side.
const BYTES: usize = 16;

/// How two contents differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct How {
    pub(crate) causes: BTreeSet<Cause>,
    /// A bounded excerpt for people: `-` and `+` lines of texts, or bytes.
    pub(crate) excerpt: Vec<String>,
}

/// Compares the contents of a file after two executions.
pub(crate) fn compare(first: &[u8], second: &[u8], window: Window) -> How {
    match (text(first), text(second)) {
        (Some(first), Some(second)) => lines(first, second, window),
        _ => bytes(first, second, window),
    }
}

fn text(bytes: &[u8]) -> Option<&str> {
    let small = bytes.len() <= TEXT_BYTES && !bytes.contains(&0);
    small.then(|| std::str::from_utf8(bytes).ok()).flatten()
}

fn lines(first: &str, second: &str, window: Window) -> How {
    let mut how = How { causes: same_lines(first, second), excerpt: Vec::new() };
    let are_same = !how.causes.is_empty();
    let ends = how.causes.contains(&Cause::LineEnds);
    let diff = TextDiff::configure().algorithm(Algorithm::Myers).timeout(PATIENCE).diff_lines(first, second);
    for op in diff.ops() {
        if let DiffOp::Replace { old_index, old_len, new_index, new_len } = *op
            && how.causes.len() <= PLACES
            && !are_same
        {
            for at in 0..old_len.min(new_len) {
                let old = diff.old_slice(old_index + at).unwrap_or_default();
                let new = diff.new_slice(new_index + at).unwrap_or_default();
                how.causes.insert(cause(old.trim_end(), new.trim_end(), window));
            }
        }
        for change in diff.iter_changes(op) {
            let sign = match change.tag() {
                ChangeTag::Equal => continue,
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            if how.excerpt.len() < LINES {
                // Of lines that took the place of others, the one in the same place.
                let (old, new) = (op.old_range().start, op.new_range().start);
                let beside = match (change.old_index(), change.new_index()) {
                    (Some(at), None) => diff.new_slice(new + (at - old)),
                    (None, Some(at)) => diff.old_slice(old + (at - new)),
                    _ => None,
                };
                how.excerpt.push(shown(sign, change.value(), beside.unwrap_or_default(), ends));
            }
        }
    }
    if how.causes.is_empty() {
        how.causes.insert(Cause::Unknown);
    }
    how
}

/// Why two texts differ that have the same lines.
fn same_lines(first: &str, second: &str) -> BTreeSet<Cause> {
    let sorted = |text: &'_ str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    if sorted(first) != sorted(second) {
        return BTreeSet::new();
    }
    let count = |text: &str| (text.matches('\n').count(), text.matches("\r\n").count());
    let in_order = first.lines().eq(second.lines());
    let order = (!in_order).then_some(Cause::Order);
    let ends = (in_order || count(first) != count(second)).then_some(Cause::LineEnds);
    order.into_iter().chain(ends).collect()
}

/// A line, or the part of it that is not as in the line `beside`; with its end where that is what differs.
fn shown(sign: char, line: &str, beside: &str, ends: bool) -> String {
    let end = match line.trim_end_matches(['\r', '\n']).len() {
        start if ends => line[start..].escape_debug().to_string(),
        _ => String::new(),
    };
    let [line, beside] = [line, beside].map(|line| clean::line(line.trim_end_matches(['\r', '\n'])));
    let same = line.chars().zip(beside.chars()).take_while(|(one, other)| one == other).count();
    let from = if same + BEFORE > COLUMNS { same - BEFORE } else { 0 };
    let part: String = line.chars().skip(from).take(COLUMNS).collect();
    let dots = |cut: bool| if cut { "…" } else { "" };
    format!("{sign} {}{part}{}{end}", dots(from > 0), dots(line.chars().nth(from + COLUMNS).is_some()))
}

fn bytes(first: &[u8], second: &[u8], window: Window) -> How {
    let mut how = How::default();
    let differing = first.iter().zip(second).enumerate().filter(|(_, (a, b))| a != b).map(|(at, _)| at);
    let mut seen_to = 0;
    let mut places = 0;
    for at in differing {
        if at < seen_to || places == PLACES {
            continue;
        }
        places += 1;
        let (cause, until) = place(first, second, at, window);
        how.causes.extend(cause);
        seen_to = until;
    }
    if first.len() != second.len() {
        how.excerpt.push(format!("{} bytes, then {}", first.len(), second.len()));
    }
    if how.causes.is_empty() {
        how.causes.insert(Cause::Unknown);
    }
    let same = first.iter().zip(second).take_while(|(a, b)| a == b).count();
    how.excerpt.push(format!("first difference at byte {same}"));
    how.excerpt.push(hex('-', first, same));
    how.excerpt.push(hex('+', second, same));
    how
}

fn hex(sign: char, bytes: &[u8], from: usize) -> String {
    let piece = bytes.get(from..bytes.len().min(from + BYTES)).unwrap_or_default();
    let digits: Vec<String> = piece.iter().map(|byte| format!("{byte:02x}")).collect();
    let readable = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
    let text: String = piece.iter().map(readable).collect();
    format!("{sign} {:<width$}  {text}", digits.join(" "), width = BYTES * 3 - 1)
}

/// Why bytes differ at a place, where that is to be said, and where the place ends.
fn place(first: &[u8], second: &[u8], at: usize, window: Window) -> (Option<Cause>, usize) {
    if let Some(end) = archive_time(first, at) {
        return (Some(Cause::Time), end);
    }
    if let Some(end) = tar_field(first, at, TAR_CHECKSUM) {
        // It follows from what else differs in the header.
        return (None, end);
    }
    if first.starts_with(&GZIP) {
        // What is compressed is no text, however it looks.
        return (Some(Cause::Unknown), first.len());
    }
    let printable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let start = first[..at].iter().rposition(|byte| !printable(byte)).map_or(0, |before| before + 1);
    let run = |bytes: &[u8]| bytes[start..].iter().take_while(|byte| printable(byte)).count();
    let (one, other) = (&first[start..start + run(first)], &second[start..start + run(second)]);
    let [one, other] = [one, other].map(|bytes| std::str::from_utf8(bytes).unwrap_or_default());
    if one.len().min(other.len()) < WORD {
        return (Some(Cause::Unknown), at + 1);
    }
    (Some(cause(one, other, window)), start + one.len().max(1))
}

/// How a file of gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Fewer readable bytes in a row are no text.
const WORD: usize = 6;

/// Where in a header of tar (POSIX.1, ustar) the time and the checksum are.
const TAR_TIME: Range<usize> = 136..148;
const TAR_CHECKSUM: Range<usize> = 148..156;

/// Where this field of a header of tar ends, if the place is in one.
fn tar_field(bytes: &[u8], at: usize, field: Range<usize>) -> Option<usize> {
    let block = at / 512 * 512;
    let is_header = bytes.get(block + 257..block + 262) == Some(b"ustar");
    (is_header && field.contains(&(at - block))).then_some(block + field.end)
}

/// Where the time ends that formats of archives have at this place: gzip (RFC 1952, 2.3.1), tar (POSIX.1, ustar) and
/// zip (APPNOTE 4.4.6).
fn archive_time(bytes: &[u8], at: usize) -> Option<usize> {
    if (4..8).contains(&at) && bytes.starts_with(&GZIP) {
        return Some(8);
    }
    if let Some(end) = tar_field(bytes, at, TAR_TIME) {
        return Some(end);
    }
    let has = |signature: &[u8], before: Range<usize>| {
        let mut offsets = before.filter_map(|offset| at.checked_sub(offset));
        offsets.find(|start| bytes[*start..].starts_with(signature))
    };
    has(b"PK\x03\x04", 10..14)
        .map(|start| start + 14)
        .or_else(|| has(b"PK\x01\x02", 12..16).map(|start| start + 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { from_ms: 1_790_000_000_000, to_ms: 1_790_000_003_000 };

    fn causes(first: &[u8], second: &[u8]) -> Vec<Cause> {
        compare(first, second, WINDOW).causes.into_iter().collect()
    }

    #[test]
    fn texts_are_compared_by_lines() {
        let how = compare(b"same\nat 10:00:01\nend\n", b"same\nat 10:00:03\nend\n", WINDOW);
        assert_eq!(how.excerpt, ["- at 10:00:01", "+ at 10:00:03"]);
        assert_eq!(how.causes, [Cause::Time].into());
        assert_eq!(causes(b"a\nb\nc\n", b"c\na\nb\n"), [Cause::Order]);
        assert_eq!(
            causes(b"pid 12\nrun 0a1b2c3d4e\n", b"pid 14\nrun ffab2c3d4e\n"),
            [Cause::Random, Cause::Number]
        );
        assert_eq!(causes(b"", b"more\n"), [Cause::Unknown]);
        assert_eq!(causes(b"a\nb\n", b"a\nb"), [Cause::LineEnds]);
        assert_eq!(causes(b"a\nb", b"b\na"), [Cause::Order], "the end of the last one is not what differs");
        assert_eq!(causes(b"a\r\nb\r\n", b"b\na\n"), [Cause::Order, Cause::LineEnds]);
        let how = compare(b"same\na\r\n", b"same\na\n", WINDOW);
        assert_eq!(
            (how.causes, how.excerpt),
            ([Cause::LineEnds].into(), vec![r"- a\r\n".into(), r"+ a\n".into()])
        );
        let long: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        assert_eq!(compare(b"x\n", long.as_bytes(), WINDOW).excerpt.len(), LINES);
        let part = |end: &str| format!("{}{end}{}\n", "x".repeat(10_000), "y".repeat(10_000));
        let how = compare(part("1").as_bytes(), part("23").as_bytes(), WINDOW);
        let (before, after) = ("x".repeat(BEFORE), "y".repeat(COLUMNS - BEFORE - 2));
        assert_eq!(how.excerpt, [format!("- …{before}1{after}y…"), format!("+ …{before}23{after}…")]);
        let wide = "x".repeat(10_000);
        assert!(compare(b"y", wide.as_bytes(), WINDOW).excerpt.iter().all(|line| line.chars().count() < 200));
    }

    #[test]
    fn times_of_archives_are_found() {
        let mut gzip = vec![0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 0, 3, 0, 0, 0];
        let other = gzip.clone();
        gzip[5] = 9;
        assert_eq!(causes(&gzip, &other), [Cause::Time]);
        let mut tar = vec![0_u8; 1536];
        tar[512 + 257..512 + 262].copy_from_slice(b"ustar");
        let mut other = tar.clone();
        (other[512 + 140], other[512 + 150]) = (7, 7);
        assert_eq!(causes(&tar, &other), [Cause::Time]);
        // A mode, which the checksum covers as well.
        let mut mode = tar.clone();
        (mode[512 + 104], mode[512 + 150]) = (7, 7);
        assert_eq!(causes(&tar, &mode), [Cause::Unknown]);
        other[1400] = 1;
        assert_eq!(causes(&tar, &other), [Cause::Time, Cause::Unknown]);
        let mut zip = vec![0_u8; 100];
        zip[20..24].copy_from_slice(b"PK\x03\x04");
        let mut other = zip.clone();
        other[31] = 5;
        assert_eq!(causes(&zip, &other), [Cause::Time]);
    }

    #[test]
    fn text_in_programs_is_read() {
        let program = |text: &str| [&[0, 1, 2][..], text.as_bytes(), &[0, 255]].concat();
        let how = compare(&program("built 10:00:01"), &program("built 10:00:03"), WINDOW);
        assert_eq!(how.causes, [Cause::Time].into());
        assert_eq!(how.excerpt[0], "first difference at byte 16");
        assert_eq!(how.excerpt.len(), 3);
        assert_eq!(causes(&[0, 1], &[0, 1, 2]), [Cause::Unknown]);
    }
}
