//! Header blocks in which programs would see different things.
//!
//! Source: what GNU tar 1.34, Go's `archive/tar` and Python's `tarfile` do with them, which `differential` compares.

use super::BLOCK;
use super::fields::number;

/// Magic and version of POSIX, and of GNU tar; older archives have neither.
const USTAR: &[u8] = b"ustar\x0000";
const GNU: &[u8] = b"ustar  \0";
const NONE: &[u8] = &[0; 8];

/// All of them, whether or not they matter here: a program that stops at one sees no further entry.
const NUMBERS: [(&str, std::ops::Range<usize>); 7] = [
    ("mode", 100..108),
    ("user", 108..116),
    ("group", 116..124),
    ("size", 124..136),
    ("time", 136..148),
    ("device", 329..337),
    ("device", 337..345),
];

/// What is wrong with a block, behind "the header".
pub(super) fn oddity(bytes: &[u8; BLOCK]) -> Option<String> {
    let (magic, kind) = (&bytes[257..265], bytes[156]);
    if magic == USTAR && bytes.ends_with(b"tar\0") {
        return Some("is in the old format of star; make the archive with `--format=pax`".to_owned());
    }
    // Some go by the magic and some by the version, too.
    if ![USTAR, GNU, NONE].contains(&magic) {
        return Some("is in an unknown format: its magic and version are not those of any".to_owned());
    }
    if let Some((name, _)) = NUMBERS.into_iter().find(|(_, at)| number(&bytes[at.clone()]).is_none()) {
        return Some(format!("has a {name} that is no number"));
    }
    if bytes[124..136].iter().all(|byte| *byte == b' ') {
        return Some("has no size".to_owned());
    }
    // Only POSIX has the first part of a name there. GNU tar has times and the map of a sparse file, which is refused
    // for that.
    if magic != USTAR && kind != b'S' && bytes[345..500].iter().any(|byte| *byte != 0) {
        return Some("has something where only other formats have a part of the name".to_owned());
    }
    None
}
