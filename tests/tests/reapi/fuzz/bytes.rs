//! Bytes that are nearly a message, or none at all.

use fastrand::Rng;

pub(super) use bytes::Bytes;

/// The message with some bytes changed, left out or added.
pub(super) fn changed(rng: &mut Rng, message: &[u8]) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..=bytes.len());
        match rng.u8(..6) {
            0 => bytes.truncate(at),
            1 => bytes.splice(at..at, random(rng, 8)).for_each(drop),
            2 => {
                let from = rng.usize(..=at);
                let part = bytes[from..at].to_vec();
                bytes.extend(part);
            }
            // A length or a number of nine bytes and more.
            3 => bytes.splice(at..at, [0xff; 10]).for_each(drop),
            4 if at < bytes.len() => {
                bytes.remove(at);
            }
            _ if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            _ => bytes.push(rng.u8(..)),
        }
    }
    bytes
}

/// Up to so many bytes of any kind.
pub(super) fn random(rng: &mut Rng, most: usize) -> Vec<u8> {
    let len = rng.usize(..most);
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}
