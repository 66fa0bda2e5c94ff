//! The bytes of a snapshot file, format 1: the header, chunks, the end mark.
//!
//! | Header | bytes | | Chunk | bytes | | End mark | bytes |
//! |---|---|---|---|---|---|---|---|
//! | magic | 8 | | length of the data, not 0 | 4 | | 0 | 4 |
//! | format | 4 | | checksum | 4 | | checksum | 4 |
//! | length of the log id | 4 | | data | | | length of all data | 8 |
//! | length of the caller's data | 4 | | | | | | |
//! | zeros | 4 | | | | | | |
//! | cluster id | 16 | | | | | | |
//! | node id | 8 | | | | | | |
//! | index | 8 | | | | | | |
//! | log id, caller's data | | | | | | | |
//! | checksum | 4 | | | | | | |

use bytes::Bytes;

use crate::frame::{MAX_ID_BYTES, VERSION, u32_at, u64_at};
use crate::types::LogId;
use crate::{ClusterId, Error, Identity, Result};

const MAGIC: [u8; 8] = *b"CLTRSNP\n";
/// Bytes before the log id.
pub(super) const FIXED_BYTES: usize = 56;
/// Longest data the caller may add to the header.
pub(super) const MAX_META_BYTES: usize = 1 << 20;
/// Length of every chunk but the last.
pub(super) const CHUNK_BYTES: usize = 1 << 20;
/// Bytes before a chunk's data.
pub(super) const CHUNK_HEADER_BYTES: usize = 8;

/// The header's bytes; its checksum, the seed of the others, is in the last four.
pub(super) fn header(identity: Identity, last: &LogId, meta: &Bytes) -> Result<Vec<u8>> {
    for (bytes, limit) in [(last.encoded.len(), MAX_ID_BYTES), (meta.len(), MAX_META_BYTES)] {
        if bytes > limit {
            return Err(Error::TooLarge { bytes, limit });
        }
    }
    let ClusterId(cluster) = identity.cluster;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((last.encoded.len() as u32).to_le_bytes());
    bytes.extend((meta.len() as u32).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(cluster);
    bytes.extend(identity.node.to_le_bytes());
    bytes.extend(last.index.to_le_bytes());
    bytes.extend_from_slice(&last.encoded);
    bytes.extend_from_slice(meta);
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    Ok(bytes)
}

/// The length of the whole header, from its fixed part; None where that is none.
pub(super) fn header_len(fixed: &[u8]) -> Option<usize> {
    let (id, meta) = (u32_at(fixed, 12) as usize, u32_at(fixed, 16) as usize);
    let is_sane = fixed[..8] == MAGIC && id <= MAX_ID_BYTES && meta <= MAX_META_BYTES;
    is_sane.then_some(FIXED_BYTES + id + meta + 4)
}

/// What a whole header says.
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) identity: Identity,
    pub(super) last: LogId,
    pub(super) meta: Bytes,
    pub(super) seed: u32,
}

/// Reads a header of the right length; None where its checksum is wrong.
pub(super) fn parse_header(bytes: &Bytes) -> Option<Header> {
    let end = bytes.len() - 4;
    let seed = u32_at(bytes, end);
    if seed != crc32c::crc32c(&bytes[..end]) {
        return None;
    }
    let meta = FIXED_BYTES + u32_at(bytes, 12) as usize;
    let mut cluster = [0; 16];
    cluster.copy_from_slice(&bytes[24..40]);
    Some(Header {
        version: u32_at(bytes, 8),
        identity: Identity { cluster: ClusterId(cluster), node: u64_at(bytes, 40) },
        last: LogId { index: u64_at(bytes, 48), encoded: bytes.slice(FIXED_BYTES..meta) },
        meta: bytes.slice(meta..end),
        seed,
    })
}

/// Checksum of the chunk with this number, or of the end mark, whose data is the total length.
pub(super) fn checksum(seed: u32, number: u64, len: u32, data: &[u8]) -> u32 {
    let checksum = crc32c::crc32c_append(seed, &number.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(checksum, &len.to_le_bytes()), data)
}
