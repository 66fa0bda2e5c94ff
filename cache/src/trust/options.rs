//! Who somebody is to a store that others use as well.

use std::collections::BTreeSet;

use cullet_digest::Digest;

use super::{PublicKey, Scope, SigningKey};
use crate::ActionResult;

/// Whose results are read and written, and whose are believed. By default everybody's are, and nobody signs.
#[derive(Debug, Clone, Default)]
pub struct TrustOptions {
    /// Written, and read before the protected scope.
    pub scope: Scope,
    /// Whose results these would be on any other day: read before the protected scope, which is then read before `scope`.
    pub usual: Option<Scope>,
    /// Signs what is written.
    pub signing: Option<SigningKey>,
    /// If there are any, only results that one of these signed are read; in the own scopes those of `signing` as well.
    pub trusted: Option<Vec<PublicKey>>,
}

impl TrustOptions {
    /// The scopes that are read, in this order.
    pub(crate) fn read(&self) -> Vec<&Scope> {
        let mut all = match &self.usual {
            Some(usual) => vec![usual, &Scope::Protected, &self.scope],
            None => vec![&self.scope, &Scope::Protected],
        };
        all.dedup();
        all
    }

    /// Whose signatures count in a scope; none where nobody asks for one.
    pub(crate) fn keys(&self, scope: &Scope) -> Option<BTreeSet<PublicKey>> {
        let is_own = *scope == self.scope || Some(scope) == self.usual.as_ref();
        let own = self.signing.as_ref().filter(|_| is_own).map(SigningKey::public);
        self.trusted.as_ref().map(|keys| keys.iter().copied().chain(own).collect())
    }

    /// Whether a result is believed that may have come from any of the scopes that are read.
    pub(crate) fn believes(&self, action: &Digest, result: &ActionResult) -> bool {
        self.read().into_iter().any(|scope| match self.keys(scope) {
            Some(keys) => result.is_signed_by(&keys, scope, action),
            None => true,
        })
    }

    /// What is written down of a result: with a signature, where this one signs and nobody did before for this scope.
    #[must_use]
    pub fn sign(&self, action: &Digest, result: ActionResult) -> ActionResult {
        match &self.signing {
            Some(key) if result.signer(&self.scope, action).is_none() => {
                result.signed(key, &self.scope, action)
            }
            _ => result,
        }
    }
}
