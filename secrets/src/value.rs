//! One value.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize as _, Zeroizing};

/// The longest value, in bytes. Each form of it is looked for in all that a step prints, and the table for that has
/// about a hundred times as many. Certificates, keys and configuration files with tokens have a few thousand bytes.
pub const MOST_BYTES: usize = 64 << 10;

/// The shortest value, in bytes. A shorter one cannot be masked without masking what is none, and can be guessed.
pub const SHORTEST: usize = 4;

/// A value, overwritten in memory when the last of its clones is dropped. It appears in no [`Debug`] output.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretValue(Arc<Zeroizing<Box<[u8]>>>);

/// Why bytes are no value of a secret. The texts say nothing about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueProblem {
    /// Nothing.
    #[error("it is empty")]
    Empty,
    /// Not [`SHORTEST`] bytes.
    #[error("it has fewer than {SHORTEST} bytes, too few to be masked where it is printed")]
    TooShort,
    /// More than [`MOST_BYTES`] bytes.
    #[error("it has more than {MOST_BYTES} bytes (64 KiB), the most that is masked where it is printed")]
    TooLong,
    /// It is to be in an environment variable, which ends at a NUL.
    #[error("it has a NUL byte, and an environment variable cannot have one")]
    Nul,
}

impl SecretValue {
    /// A value of bytes, which are overwritten where they were.
    ///
    /// # Errors
    /// They are too few or too many.
    pub fn new(bytes: Vec<u8>) -> Result<Self, ValueProblem> {
        let bytes = Zeroizing::new(bytes);
        match trimmed(&bytes).len() {
            0 => Err(ValueProblem::Empty),
            length if length < SHORTEST => Err(ValueProblem::TooShort),
            _ if bytes.len() > MOST_BYTES => Err(ValueProblem::TooLong),
            // A copy of the exact size: making a vector smaller would leave the old one in memory.
            _ => Ok(Self(Arc::new(Zeroizing::new(Box::from(&**bytes))))),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// As an environment variable has it: without a line end at its end, as `$(cat FILE)` gives it.
    #[must_use]
    pub fn for_env(&self) -> &[u8] {
        let bytes = self.expose();
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        bytes.strip_suffix(b"\r").unwrap_or(bytes)
    }

    /// Whether an environment variable can have it.
    ///
    /// # Errors
    /// [`ValueProblem::Nul`].
    pub fn check_env(&self) -> Result<(), ValueProblem> {
        if self.for_env().contains(&0) { Err(ValueProblem::Nul) } else { Ok(()) }
    }
}

/// Without white space around it.
pub(crate) fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(***)")
    }
}

/// For the way to the step's first process, which is a socket of this machine, and for nothing else.
impl Serialize for SecretValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.expose())
    }
}

impl<'de> Deserialize<'de> for SecretValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }
}

struct Bytes;

impl serde::de::Visitor<'_> for Bytes {
    type Value = SecretValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    // No error says what they are.
    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<SecretValue, E> {
        SecretValue::new(bytes.to_vec()).map_err(E::custom)
    }

    fn visit_byte_buf<E: serde::de::Error>(self, mut bytes: Vec<u8>) -> Result<SecretValue, E> {
        let value = self.visit_bytes(&bytes);
        bytes.zeroize();
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_shown() {
        let value = SecretValue::new(b"hunter2".to_vec()).unwrap();
        assert_eq!(format!("{value:?} {:?}", Some(&value)), "SecretValue(***) Some(SecretValue(***))");
    }

    #[test]
    fn only_what_can_be_masked_is_a_value() {
        let problem = |bytes: &[u8]| SecretValue::new(bytes.to_vec()).unwrap_err();
        assert_eq!(problem(b""), ValueProblem::Empty);
        assert_eq!(problem(b" \n\n\n\n"), ValueProblem::Empty);
        assert_eq!(problem(b"abc\n"), ValueProblem::TooShort);
        assert_eq!(problem(&[b'x'; MOST_BYTES + 1]), ValueProblem::TooLong);
        assert!(SecretValue::new(vec![b'x'; MOST_BYTES]).is_ok());
        let value = SecretValue::new(b"ab\0cd\r\n".to_vec()).unwrap();
        assert_eq!((value.for_env(), value.check_env()), (&b"ab\0cd"[..], Err(ValueProblem::Nul)));
    }
}
