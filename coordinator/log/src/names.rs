//! Names of the files in the directory.

use std::path::{Path, PathBuf};

pub(crate) const LOCK: &str = "lock";
pub(crate) const IDENTITY: &str = "identity";
/// Of files that are not finished.
pub(crate) const UNFINISHED: &str = ".tmp";
const SEGMENT: (&str, &str) = ("log-", ".seg");
const SNAPSHOT: (&str, &str) = ("snapshot-", ".snap");

/// Where a segment is.
pub(crate) fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{}{number:020}{}", SEGMENT.0, SEGMENT.1))
}

/// The segment's number where it is one's name.
pub(crate) fn parse_segment(name: &str) -> Option<u64> {
    decimal(name.strip_prefix(SEGMENT.0)?.strip_suffix(SEGMENT.1)?)
}

/// Where a snapshot is.
pub(crate) fn snapshot(dir: &Path, index: u64, serial: u64) -> PathBuf {
    dir.join(format!("{}{index:020}-{serial:020}{}", SNAPSHOT.0, SNAPSHOT.1))
}

/// Index and serial number where it is a snapshot's name.
pub(crate) fn parse_snapshot(name: &str) -> Option<(u64, u64)> {
    let (index, serial) = name.strip_prefix(SNAPSHOT.0)?.strip_suffix(SNAPSHOT.1)?.split_once('-')?;
    Some((decimal(index)?, decimal(serial)?))
}

/// The name a file has until it is finished.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

fn decimal(digits: &str) -> Option<u64> {
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[test]
fn names_are_read_as_they_are_written() {
    let dir = Path::new("/d");
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(parse_segment(&name(segment(dir, 7))), Some(7));
    assert_eq!(parse_segment(&name(segment(dir, u64::MAX))), Some(u64::MAX));
    assert_eq!(parse_snapshot(&name(snapshot(dir, 3, 9))), Some((3, 9)));
    assert_eq!(parse_segment("log-7.seg"), None);
    assert_eq!(parse_segment("log-+0000000000000000007.seg"), None);
    assert_eq!(parse_segment(&name(unfinished(&segment(dir, 7)))), None);
    assert_eq!(parse_snapshot("snapshot-1.snap"), None);
}
