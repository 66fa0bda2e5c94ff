//! How entries and states are encoded on a coordinator's disk.

use std::io;

use cullet_core::NEWEST_VERSION;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Raised whenever the encoding of what raft itself has to say changes: entries, members, what a snapshot is of. It is encoded by
/// position and would otherwise be read as something else. Commands and states have versions that coordinators agree on
/// ([`cullet_core::NEWEST_VERSION`]); this has none, and a change of it needs a new cluster.
const FORMAT: u8 = 2;

/// What stands before everything, so that what was written before there were formats is not taken for one of them.
const MARK: u8 = 0xCF;

/// Whether this program understands what was said at that version of the log.
///
/// # Errors
/// It does not.
pub(super) fn known(version: u32, what: &str) -> io::Result<()> {
    if version <= NEWEST_VERSION {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{what} needs version {version} of the log, and this program knows up to {NEWEST_VERSION}: the cluster was upgraded; start \
         the newer program"
    )))
}

/// The bytes of a value.
pub(super) fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    postcard::to_extend(value, vec![MARK, FORMAT]).map_err(io::Error::other)
}

/// The value of the bytes.
///
/// # Errors
/// They are of another version, or damaged.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    let (mark, format) = (bytes.first().copied(), bytes.get(1).copied());
    if (mark, format) != (Some(MARK), Some(FORMAT)) {
        let found = match (mark, format) {
            (Some(MARK), Some(format)) => format!("in format {format}"),
            _ => "before formats had numbers".to_owned(),
        };
        return Err(io::Error::other(format!(
            "the log was written {found}, and this version reads format {FORMAT}: start the version that wrote it, or a new \
             cluster with an empty data directory"
        )));
    }
    postcard::from_bytes(&bytes[2..]).map_err(io::Error::other)
}

#[test]
fn what_another_version_wrote_is_not_taken_for_something_else() {
    let bytes = encode(&(7_u64, "x")).unwrap();
    assert_eq!(decode::<(u64, String)>(&bytes).unwrap(), (7, "x".to_owned()));
    let newer = [&[MARK, FORMAT + 1], &bytes[2..]].concat();
    let error = decode::<(u64, String)>(&newer).unwrap_err().to_string();
    let said = [format!("written in format {}", FORMAT + 1), format!("reads format {FORMAT}")];
    assert!(said.iter().all(|said| error.contains(said)), "{error}");
    for old in [&bytes[2..], &[], &[MARK]] {
        let error = decode::<(u64, String)>(old).unwrap_err().to_string();
        assert!(error.contains("before formats had numbers"), "{error}");
    }
}
