//! The bytes of a segment file, format 1. Integers are little-endian, checksums are CRC-32C.
//!
//! A segment is a header and then frames. One frame is what one write and one sync made durable together:
//!
//! | Segment header | bytes | | Frame header | bytes | | Record header | bytes |
//! |---|---|---|---|---|---|---|---|
//! | magic | 8 | | magic | 4 | | checksum of what follows, salted | 4 |
//! | format | 4 | | length of the body | 4 | | length of log id and data | 4 |
//! | zeros | 4 | | records in it | 4 | | length of the log id | 2 |
//! | cluster id | 16 | | sectors of zeros in the body | 4 | | kind | 1 |
//! | node id | 8 | | number of the frame in the segment | 8 | | 1 where there is a log id | 1 |
//! | segment number | 8 | | zeros | 4 | | index | 8 |
//! | next index | 8 | | checksum, salted | 4 | | | |
//! | zeros | 4 | | | | | | |
//! | checksum, the salt of all others | 4 | | | | | | |
//!
//! Behind the last frame of the last segment there may be zeros, into which the next frames go.
//!
//! Every checksum starts from its segment's own, so that bytes of another segment, node or cluster are never taken for
//! this one's. Every byte is under a checksum. A segment appears under its name only when its header and its first
//! frame, which carries what earlier segments said, are durable.

/// Written in every header.
pub const VERSION: u32 = 1;
/// What a disk writes whole or not at all, bytes. Disks with larger sectors do so for several of these together.
pub const SECTOR_BYTES: usize = 512;
/// Longest encoded log id.
pub const MAX_ID_BYTES: usize = 1024;
/// Longest data of a record, the log id included: a wrong length cannot ask for more memory than this.
pub const MAX_DATA_BYTES: usize = 64 << 20;
/// Longest body of a frame; room for a batch, or for one record of the largest size.
pub const MAX_BODY_BYTES: usize = 128 << 20;
/// Most zeros behind the last frame of a segment.
pub const MAX_RESERVE_BYTES: u64 = 16 << 20;
/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 32;

const MAGIC: [u8; 4] = *b"CLfr";

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) body: u32,
    pub(crate) records: u32,
    /// Sectors, or parts of one at the ends, in which every byte of the body is zero. A sector that never reached the
    /// disk reads as zeros; this tells it from data that is zeros.
    pub(crate) zero_sectors: u32,
    pub(crate) sequence: u64,
}

impl FrameHeader {
    pub(crate) fn encode(self, salt: u32) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&self.body.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.records.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.zero_sectors.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        let checksum = crc32c::crc32c_append(salt, &bytes[..28]);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// None where the bytes are not such a header as this segment has.
    pub(crate) fn decode(bytes: &[u8], salt: u32) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        let known = bytes[..4] == MAGIC && u32_at(bytes, 28) == crc32c::crc32c_append(salt, &bytes[..28]);
        let header = Self {
            body: u32_at(bytes, 4),
            records: u32_at(bytes, 8),
            zero_sectors: u32_at(bytes, 12),
            sequence: u64_at(bytes, 16),
        };
        (known && header.body as usize <= MAX_BODY_BYTES).then_some(header)
    }
}

/// True where the bytes hold a frame's header at whatever place.
pub(crate) fn contains_header(bytes: &[u8], salt: u32) -> bool {
    let last = bytes.len().saturating_sub(HEADER_BYTES - 1);
    (0..last).any(|at| bytes[at] == MAGIC[0] && FrameHeader::decode(&bytes[at..], salt).is_some())
}

/// Sectors, or parts of one at the ends, that are all zeros; the bytes begin at `offset` of their file.
pub(crate) fn zero_sectors(bytes: &[u8], offset: u64) -> u32 {
    let (head, rest) = bytes.split_at(to_sector_end(offset).min(bytes.len()));
    let parts = std::iter::once(head).chain(rest.chunks(SECTOR_BYTES));
    parts.map(|part| u32::from(!part.is_empty() && is_zero(part))).sum()
}

/// Bytes from the offset to the end of its sector.
pub(crate) fn to_sector_end(offset: u64) -> usize {
    SECTOR_BYTES - (offset % SECTOR_BYTES as u64) as usize
}

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// The bytes must be there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

/// The bytes must be there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[test]
fn headers_are_read_as_they_are_written_and_only_with_their_salt() {
    let header = FrameHeader { body: 5, records: 2, zero_sectors: 1, sequence: u64::MAX - 7 };
    let bytes = header.encode(9);
    assert_eq!(FrameHeader::decode(&bytes, 9), Some(header));
    assert_eq!(FrameHeader::decode(&bytes, 8), None);
    assert_eq!(FrameHeader::decode(&bytes[..31], 9), None);
    let mut inside = vec![b'C'; 40];
    inside.extend(bytes);
    assert!(contains_header(&inside, 9));
    assert!(!contains_header(&inside[..71], 9));
    assert!(!contains_header(&inside, 8));
}

#[test]
fn sectors_of_zeros_are_counted_at_their_places() {
    assert_eq!(zero_sectors(&[], 0), 0);
    assert_eq!(zero_sectors(&[0; 512], 0), 1);
    assert_eq!(zero_sectors(&[0; 512], 100), 2);
    let mut bytes = vec![0; 1024];
    bytes[600] = 1;
    assert_eq!(zero_sectors(&bytes, 0), 1);
    assert_eq!(zero_sectors(&bytes, 500), 2);
}
