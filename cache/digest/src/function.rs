//! The digest functions that Cullet speaks.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::Digest;

/// How bytes are turned into a hash. BLAKE3 is what pipelines use; SHA-256 is what REAPI clients and OCI need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DigestFunction {
    /// BLAKE3 with its default 32-byte output (REAPI `DigestFunction.Value.BLAKE3` = 9).
    #[default]
    Blake3,
    /// SHA-256 (REAPI `DigestFunction.Value.SHA256` = 1).
    Sha256,
}

/// A digest function name that is neither `blake3` nor `sha256`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown digest function '{0}': use 'blake3' or 'sha256'")]
pub struct UnknownDigestFunction(String);

impl DigestFunction {
    /// Every function, in a stable order.
    pub const ALL: [Self; 2] = [Self::Blake3, Self::Sha256];

    /// The lower-case name, as REAPI resource names and our directory layout spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3",
            Self::Sha256 => "sha256",
        }
    }

    /// The digest of `bytes`.
    pub fn digest(self, bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }
}

impl fmt::Display for DigestFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for DigestFunction {
    type Err = UnknownDigestFunction;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|function| function.name() == text)
            .ok_or_else(|| UnknownDigestFunction(text.to_owned()))
    }
}

/// Hashes a stream of bytes and counts them.
pub struct Hasher {
    state: State,
    size: u64,
}

#[allow(
    clippy::large_enum_variant,
    reason = "one lives on the stack per stream being hashed; boxing would cost an allocation per file"
)]
enum State {
    Blake3(blake3::Hasher),
    Sha256(sha2::Sha256),
}

impl Hasher {
    /// An empty hasher.
    pub fn new(function: DigestFunction) -> Self {
        let state = match function {
            DigestFunction::Blake3 => State::Blake3(blake3::Hasher::new()),
            DigestFunction::Sha256 => State::Sha256(sha2::Sha256::new()),
        };
        Self { state, size: 0 }
    }

    /// Adds `bytes` to what is hashed.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        match &mut self.state {
            State::Blake3(hasher) => {
                hasher.update(bytes);
            }
            State::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// Bytes seen so far.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The digest of everything seen.
    pub fn finish(self) -> Digest {
        let (function, hash) = match self.state {
            State::Blake3(hasher) => (DigestFunction::Blake3, *hasher.finalize().as_bytes()),
            State::Sha256(hasher) => (DigestFunction::Sha256, hasher.finalize().into()),
        };
        Digest::from_parts(function, hash, self.size)
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("size", &self.size).finish_non_exhaustive()
    }
}

impl std::io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
