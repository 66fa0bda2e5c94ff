//! Hashes of what happened and of what is, over the postcard encoding, which has one form for each value.

use postcard::ser_flavors::Flavor;
use serde::Serialize;

/// From here on the hash runs at full width, so collecting more gains nothing.
const FULL: usize = 16 * 1024;

/// What an ordinary command takes with its effects.
const ORDINARY: usize = 512;

/// Collects small encodings for one call of the hash, which is most of them, and feeds large ones in pieces.
struct Hashing {
    hasher: Option<Box<blake3::Hasher>>,
    buffer: Vec<u8>,
}

impl Hashing {
    fn flush(&mut self) {
        self.hasher.get_or_insert_default().update(&self.buffer);
        self.buffer.clear();
    }
}

impl Flavor for Hashing {
    type Output = [u8; 32];

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.buffer.len() >= FULL {
            self.flush();
        }
        self.buffer.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if self.buffer.len() >= FULL {
            self.flush();
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(mut self) -> postcard::Result<[u8; 32]> {
        if self.hasher.is_none() {
            return Ok(*blake3::hash(&self.buffer).as_bytes());
        }
        self.flush();
        Ok(*self.hasher.unwrap_or_default().finalize().as_bytes())
    }
}

/// BLAKE3 of the encoding of `value`, never holding the encoding as a whole.
#[expect(clippy::expect_used, reason = "derived encodings of sized data into memory have no way to fail")]
pub(crate) fn hash(value: &impl Serialize) -> [u8; 32] {
    let hashing = Hashing { hasher: None, buffer: Vec::with_capacity(ORDINARY) };
    postcard::serialize_with_flavor(value, hashing).expect("an encoding")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_hash_of_the_encoding_however_long_that_is() {
        for length in [0, 1, ORDINARY, FULL - 3, FULL - 2, FULL, FULL + 1, 5 * FULL + 7] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let text = String::from_utf8(bytes.iter().map(|byte| byte % 128).collect()).unwrap();
            let value = (&bytes, &text, 7_u64, &text);
            let encoded = postcard::to_allocvec(&value).unwrap();
            assert_eq!(hash(&value), *blake3::hash(&encoded).as_bytes(), "{length}");
        }
    }
}
