//! Tokens, as far as a coordinator knows them.

use std::fmt;
use std::str::FromStr;

use cullet_digest::DigestFunction;

/// The SHA-256 of a token: enough to know it again, and of no use to whoever reads it. Tokens are long and drawn at random, so
/// that nobody can guess them from this.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

/// A text is not the hash of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no SHA-256: write 64 hexadecimal digits, as `printf %s TOKEN | sha256sum` prints them")]
pub struct NoTokenHash;

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(&DigestFunction::Sha256.digest(token).hash()[..32]);
        Self(hash)
    }
}

/// Looks at all bytes, however early two differ: how long it takes says nothing.
impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        let differing = self.0.iter().zip(&other.0).fold(0, |all, (a, b)| all | (a ^ b));
        std::hint::black_box(differing) == 0
    }
}

impl Eq for TokenHash {}

impl FromStr for TokenHash {
    type Err = NoTokenHash;

    fn from_str(text: &str) -> Result<Self, NoTokenHash> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NoTokenHash);
        }
        let mut hash = [0; 32];
        for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| NoTokenHash)?;
        }
        Ok(Self(hash))
    }
}

/// Nobody reads logs for it.
impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_sha256sum_prints() {
        // FIPS 180-2, B.1.
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(text.parse(), Ok(TokenHash::of(b"abc")));
        assert_eq!(text.to_uppercase().parse(), Ok(TokenHash::of(b"abc")));
        assert_ne!(text.parse(), Ok(TokenHash::of(b"abd")));
        for wrong in ["", "abc", &text[1..], &format!("{text}0"), &text.replace('b', "+"), &"ä".repeat(32)] {
            assert_eq!(wrong.parse::<TokenHash>(), Err(NoTokenHash), "{wrong}");
        }
    }
}
