//! Bytes as they are stored: compressed where that pays.

use bytes::Bytes;

/// Bytes as they are.
const PLAIN: u8 = 0;

/// A Zstandard frame (RFC 8878), behind how many bytes it becomes (4 bytes, little-endian).
const ZSTD: u8 = 1;

/// What [`close`] adds at most.
pub(super) const OVERHEAD: u64 = 5;

/// The fastest level that is not worse at sources and objects than twice the size of the best.
const LEVEL: i32 = 1;

/// Fewer bytes than this are a frame's own overhead.
const WORTH_IT: usize = 256;

/// The bytes, compressed if that saves a twentieth.
pub(super) fn close(bytes: &[u8]) -> Vec<u8> {
    if let Some(stored) = compressed(bytes) {
        return stored;
    }
    let mut stored = Vec::with_capacity(1 + bytes.len());
    stored.push(PLAIN);
    stored.extend_from_slice(bytes);
    stored
}

fn compressed(bytes: &[u8]) -> Option<Vec<u8>> {
    let len = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() >= WORTH_IT)?;
    let frame = zstd::bulk::compress(bytes, LEVEL).ok()?;
    if frame.len() + bytes.len() / 20 >= bytes.len() {
        return None;
    }
    let mut stored = Vec::with_capacity(5 + frame.len());
    stored.push(ZSTD);
    stored.extend_from_slice(&len.to_le_bytes());
    stored.extend_from_slice(&frame);
    Some(stored)
}

/// The bytes of what [`close`] made; none for anything else, and for more than `most` bytes.
pub(super) fn open(stored: &Bytes, most: u64) -> Option<Bytes> {
    let (tag, rest) = stored.split_first()?;
    match *tag {
        PLAIN => (rest.len() as u64 <= most).then(|| stored.slice(1..)),
        ZSTD => {
            let (len, frame) = rest.split_first_chunk::<4>()?;
            let len = u32::from_le_bytes(*len);
            if u64::from(len) > most {
                return None;
            }
            let bytes = zstd::bulk::decompress(frame, len as usize).ok()?;
            (bytes.len() == len as usize).then(|| bytes.into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_closed_opens_again_and_shrinks_where_it_can() {
        let random: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(10_000).collect();
        for (bytes, shrinks) in
            [(vec![], false), (vec![7; 100], false), (vec![7; 10_000], true), (random, false)]
        {
            let stored = Bytes::from(close(&bytes));
            assert_eq!(stored.len() < bytes.len(), shrinks, "{}", bytes.len());
            assert!(stored.len() as u64 <= bytes.len() as u64 + OVERHEAD);
            assert_eq!(open(&stored, bytes.len() as u64).unwrap(), bytes);
        }
    }

    #[test]
    fn what_lies_about_its_length_or_is_too_long_does_not_open() {
        let stored = Bytes::from(close(&[7; 10_000]));
        assert_eq!(open(&stored, 9_999), None);
        for len in [0_u32, 9_999, 10_001, u32::MAX] {
            let mut lying = stored.to_vec();
            lying[1..5].copy_from_slice(&len.to_le_bytes());
            assert_eq!(open(&lying.into(), 1 << 20), None, "{len}");
        }
        for len in 0..stored.len() {
            assert_eq!(open(&stored.slice(..len), 1 << 20), None, "{len}");
        }
        assert_eq!(open(&Bytes::from_static(b"\x09abc"), 1 << 20), None);
        assert_eq!(open(&Bytes::from_static(b"\x00abc"), 2), None);
    }
}
