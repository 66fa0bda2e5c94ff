//! A signature as it travels with a result.

use std::fmt;

use super::{PublicKey, Scope};

/// Who says that a result is what came of its action, and in which scope. Whether it is right is not known before it was
/// checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    /// Who says so.
    pub key: PublicKey,
    /// Whose result it was made as.
    pub scope: Scope,
    /// Ed25519 (RFC 8032) over the statement.
    pub bytes: [u8; 64],
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signature")
            .field("key", &self.key)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
