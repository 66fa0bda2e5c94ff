//! The bytes of one entry of the action cache on disk.
//!
//! `cac1`, a 16-byte checksum (BLAKE3, truncated) of the action's digest and the payload, the size of the action
//! (8 bytes, little-endian: the name of the file has only its hash), then the payload: an encoded REAPI
//! `ActionResult`. The action is part of the checksum, so a record under a wrong name is no entry.

use bytes::Bytes;
use cullet_digest::{Digest, DigestFunction, Hasher};

use crate::ActionResult;

const MAGIC: &[u8; 4] = b"cac1";
const CHECKSUM: usize = 16;
const SIZE: usize = 8;
const HEADER: usize = MAGIC.len() + CHECKSUM + SIZE;

/// The most a record may have: 64 MiB, far above any result (outputs are named, not contained), so a damaged
/// length cannot make us read a huge file.
pub(crate) const LIMIT: u64 = 64 << 20;

pub(crate) fn encode(action: &Digest, result: &ActionResult) -> Vec<u8> {
    let payload = result.encode();
    let mut record = Vec::with_capacity(HEADER + payload.len());
    record.extend_from_slice(MAGIC);
    record.extend_from_slice(&checksum(action, &payload));
    record.extend_from_slice(&action.size().to_le_bytes());
    record.extend_from_slice(&payload);
    record
}

/// The result, unless the record is torn, flipped, of another action, or of a form we do not know.
pub(crate) fn decode(action: &Digest, record: &Bytes) -> Option<ActionResult> {
    let (header, payload) = record.split_at_checked(HEADER)?;
    let (magic, header) = header.split_at(MAGIC.len());
    let (sum, size) = header.split_at(CHECKSUM);
    let sound = *magic == *MAGIC && *size == action.size().to_le_bytes() && *sum == checksum(action, payload);
    sound.then(|| ActionResult::decode(action.function(), record.slice(HEADER..)).ok())?
}

/// Whether this is a record of a form that is not ours, as far as that can be told.
pub(crate) fn may_be_newer(record: &[u8]) -> bool {
    record.starts_with(&MAGIC[..3]) && !record.starts_with(MAGIC)
}

/// Whether the record is whole, though perhaps of an action that the digest names with another size.
pub(super) fn is_sound(action: &Digest, record: &Bytes) -> bool {
    action_size(record)
        .and_then(|size| Digest::from_wire(action.function(), &action.hash_hex(), size).ok())
        .is_some_and(|action| decode(&action, record).is_some())
}

/// The size of the action as the record has it; unchecked.
pub(super) fn action_size(record: &[u8]) -> Option<i64> {
    let bytes = record.get(MAGIC.len() + CHECKSUM..HEADER)?;
    Some(i64::from_le_bytes(bytes.try_into().ok()?))
}

fn checksum(action: &Digest, payload: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = Hasher::new(DigestFunction::Blake3);
    hasher.update(action.function().name().as_bytes());
    hasher.update(action.hash());
    hasher.update(&action.size().to_le_bytes());
    hasher.update(payload);
    let digest = hasher.finish();
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&digest.hash()[..CHECKSUM]);
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LogStream;

    fn sample() -> (Digest, ActionResult) {
        let result = ActionResult {
            exit_code: 0,
            outputs: vec![],
            stdout: LogStream::Inline(Bytes::from_static(b"hello")),
            stderr: LogStream::default(),
            interleaving: vec![],
            worker: "w".to_owned(),
            started_at_ms: 1,
            duration_ms: 2,
            usage: Default::default(),
            signature: None,
            trees: Vec::new(),
            times: Default::default(),
        };
        (DigestFunction::Sha256.digest(b"action"), result)
    }

    #[test]
    fn a_record_survives() {
        let (action, result) = sample();
        assert_eq!(decode(&action, &encode(&action, &result).into()), Some(result));
    }

    #[test]
    fn no_flipped_bit_and_no_torn_end_goes_unnoticed() {
        let (action, result) = sample();
        let record = encode(&action, &result);
        for len in 0..record.len() {
            assert_eq!(decode(&action, &Bytes::copy_from_slice(&record[..len])), None, "{len}");
        }
        for bit in 0..record.len() * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&action, &flipped.into()), None, "{bit}");
        }
    }

    #[test]
    fn a_record_belongs_to_its_action() {
        let (action, result) = sample();
        let other = DigestFunction::Sha256.digest(b"other");
        assert_eq!(decode(&other, &encode(&action, &result).into()), None);
    }
}
