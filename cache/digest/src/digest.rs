//! The name of a blob: the hash of its bytes, and how many there are.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::DigestFunction;

/// A REAPI v2 `Digest` together with its function. Written `hash/size`, the hash in lower-case hex.
///
/// Ordering is by function, then hash, then size; it means nothing beyond being total and stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Digest {
    function: DigestFunction,
    hash: [u8; 32],
    size: u64,
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseDigestError {
    /// There is no `/` between hash and size.
    #[error("'{0}' is not a digest: expected HASH/SIZE, such as af1349…/12")]
    NoSize(String),
    /// The hash is not 64 lower-case hexadecimal digits.
    #[error("'{0}' is not a hash: expected 64 lower-case hexadecimal digits")]
    Hash(String),
    /// The size is not a number of bytes from 0 to 2^63 - 1.
    #[error("'{0}' is not a size in bytes: expected a number from 0 to 9223372036854775807")]
    Size(String),
}

impl Digest {
    /// A digest from its parts. `size` is in bytes; nothing is checked, because every 32 bytes are a hash.
    pub const fn from_parts(function: DigestFunction, hash: [u8; 32], size: u64) -> Self {
        Self { function, hash, size }
    }

    /// A digest from the two fields of the wire message. `size` is in bytes.
    pub fn from_wire(function: DigestFunction, hash: &str, size: i64) -> Result<Self, ParseDigestError> {
        let size = u64::try_from(size).map_err(|_| ParseDigestError::Size(size.to_string()))?;
        Ok(Self { function, hash: parse_hash(hash)?, size })
    }

    /// Parses `hash/size`.
    pub fn parse(function: DigestFunction, text: &str) -> Result<Self, ParseDigestError> {
        let (hash, size) = text.split_once('/').ok_or_else(|| ParseDigestError::NoSize(text.to_owned()))?;
        let bytes: i64 = size
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| size.parse().ok())
            .flatten()
            .ok_or_else(|| ParseDigestError::Size(size.to_owned()))?;
        Self::from_wire(function, hash, bytes)
    }

    /// The function that made the hash.
    pub const fn function(&self) -> DigestFunction {
        self.function
    }

    /// The raw hash.
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// The hash in lower-case hexadecimal, 64 characters.
    pub fn hash_hex(&self) -> String {
        let mut text = String::with_capacity(64);
        for byte in self.hash {
            text.push(HEX[usize::from(byte >> 4)] as char);
            text.push(HEX[usize::from(byte & 15)] as char);
        }
        text
    }

    /// The first twelve hexadecimal digits: enough for a person to tell digests apart.
    pub fn short(&self) -> String {
        let mut text = self.hash_hex();
        text.truncate(12);
        text
    }

    /// How many bytes the blob has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether this names the empty blob, which every store has.
    pub const fn is_empty(&self) -> bool {
        self.size == 0
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn parse_hash(text: &str) -> Result<[u8; 32], ParseDigestError> {
    let bad = || ParseDigestError::Hash(text.to_owned());
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return Err(bad());
    }
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0]).ok_or_else(bad)? << 4 | nibble(pair[1]).ok_or_else(bad)?;
    }
    Ok(hash)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hash_hex(), self.size)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.function, self.short(), self.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_printing_and_parsing() {
        for function in DigestFunction::ALL {
            let digest = function.digest(b"hello");
            assert_eq!(Digest::parse(function, &digest.to_string()), Ok(digest));
            assert_eq!(digest.size(), 5);
        }
    }

    #[test]
    fn the_hashes_are_the_published_ones() {
        let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(DigestFunction::Blake3.digest(b"").hash_hex(), empty);
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(DigestFunction::Sha256.digest(b"abc").hash_hex(), abc);
    }

    #[test]
    fn what_is_no_digest_is_refused_with_its_part() {
        let hash = DigestFunction::Blake3.digest(b"x").hash_hex();
        let parse = |text: &str| Digest::parse(DigestFunction::Blake3, text);
        assert!(matches!(parse(&hash), Err(ParseDigestError::NoSize(_))));
        assert!(matches!(parse("abc/1"), Err(ParseDigestError::Hash(_))));
        assert!(matches!(parse(&format!("{}/1", hash.to_uppercase())), Err(ParseDigestError::Hash(_))));
        for size in ["-1", "+1", "", "1x", "9223372036854775808"] {
            assert!(matches!(parse(&format!("{hash}/{size}")), Err(ParseDigestError::Size(_))), "{size}");
        }
    }
}
