//! One record of a frame.

use bytes::Bytes;

use crate::frame::{MAX_DATA_BYTES, MAX_ID_BYTES, u32_at, u64_at};
use crate::types::LogId;
use crate::{Error, Result};

/// Bytes before the log id.
pub(crate) const HEADER_BYTES: usize = 20;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The log id's entry; the data is its payload.
    Entry = 1,
    /// The data is the vote.
    Vote = 2,
    /// Entries after the log id are gone; without one, all are.
    TruncateAfter = 3,
    /// Entries up to the log id are not needed.
    PurgeTo = 4,
    /// Entries up to the log id are known to be committed.
    Committed = 5,
}

impl Kind {
    fn read(byte: u8) -> Option<Self> {
        [Self::Entry, Self::Vote, Self::TruncateAfter, Self::PurgeTo, Self::Committed]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) id: Option<LogId>,
    pub(crate) data: Bytes,
    /// Bytes it takes in the file.
    pub(crate) len: usize,
}

/// Refuses what the format has no room for.
pub(crate) fn check_size(id: Option<&LogId>, data: &[u8]) -> Result<()> {
    let id_bytes = id.map_or(0, |id| id.encoded.len());
    if id_bytes > MAX_ID_BYTES {
        return Err(Error::TooLarge { bytes: id_bytes, limit: MAX_ID_BYTES });
    }
    let bytes = id_bytes + data.len();
    if bytes > MAX_DATA_BYTES {
        return Err(Error::TooLarge { bytes, limit: MAX_DATA_BYTES });
    }
    Ok(())
}

/// Appends the record, whose size was checked, and returns the bytes it takes.
pub(crate) fn encode(buffer: &mut Vec<u8>, salt: u32, kind: Kind, id: Option<&LogId>, data: &[u8]) -> u32 {
    let start = buffer.len();
    let encoded = id.map_or(&[][..], |id| &id.encoded);
    buffer.extend([0; 4]);
    buffer.extend(((encoded.len() + data.len()) as u32).to_le_bytes());
    buffer.extend((encoded.len() as u16).to_le_bytes());
    buffer.extend([kind as u8, u8::from(id.is_some())]);
    buffer.extend(id.map_or(0, |id| id.index).to_le_bytes());
    buffer.extend_from_slice(encoded);
    buffer.extend_from_slice(data);
    let checksum = crc32c::crc32c_append(salt, &buffer[start + 4..]);
    buffer[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
    (buffer.len() - start) as u32
}

/// Reads the record at `at`; the error says what is wrong with it.
pub(crate) fn decode(bytes: &Bytes, at: usize, salt: u32) -> Result<Record, &'static str> {
    let rest = bytes.get(at..).unwrap_or_default();
    if rest.len() < HEADER_BYTES {
        return Err("a record's header is cut off");
    }
    let len = u32_at(rest, 4) as usize;
    if len > MAX_DATA_BYTES || rest.len() - HEADER_BYTES < len {
        return Err("a record's length is wrong");
    }
    let end = HEADER_BYTES + len;
    if u32_at(rest, 0) != crc32c::crc32c_append(salt, &rest[4..end]) {
        return Err("a record's checksum is wrong");
    }
    let id_len = usize::from(rest[8]) | usize::from(rest[9]) << 8;
    let (Some(kind), true) = (Kind::read(rest[10]), id_len <= len) else {
        return Err("a record has an unknown kind");
    };
    let data = at + HEADER_BYTES;
    let encoded = bytes.slice(data..data + id_len);
    let id = (rest[11] == 1).then(|| LogId { index: u64_at(rest, 12), encoded });
    Ok(Record { kind, id, data: bytes.slice(data + id_len..at + end), len: end })
}

#[test]
fn records_are_read_as_they_are_written() {
    let id = LogId { index: 77, encoded: Bytes::from_static(b"term 3") };
    for (kind, id, data) in [
        (Kind::Entry, Some(id.clone()), &b"payload"[..]),
        (Kind::Entry, Some(LogId { index: 0, encoded: Bytes::new() }), b""),
        (Kind::Vote, None, b"vote"),
        (Kind::TruncateAfter, None, b""),
        (Kind::PurgeTo, Some(id.clone()), b""),
        (Kind::Committed, Some(id), b""),
    ] {
        let mut buffer = b"before".to_vec();
        let len = encode(&mut buffer, 5, kind, id.as_ref(), data) as usize;
        let bytes = Bytes::from(buffer);
        let expected = Record { kind, id, data: Bytes::copy_from_slice(data), len };
        assert_eq!(decode(&bytes, 6, 5), Ok(expected));
        assert_eq!(decode(&bytes, 6, 6), Err("a record's checksum is wrong"));
        assert!(decode(&bytes.slice(..bytes.len() - 1), 6, 5).is_err());
    }
}

#[test]
fn what_the_format_has_no_room_for_is_refused() {
    let id = LogId { index: 1, encoded: vec![0; MAX_ID_BYTES + 1].into() };
    assert!(matches!(check_size(Some(&id), b""), Err(Error::TooLarge { .. })));
    assert!(matches!(check_size(None, &vec![0; MAX_DATA_BYTES + 1]), Err(Error::TooLarge { .. })));
    assert!(check_size(None, b"vote").is_ok());
}
