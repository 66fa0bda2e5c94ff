//! Results that say who made them, and readers that ask.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use cullet_digest::Digest;

use super::{PublicKey, Refusals, Refused, Scope, Signature, SigningKey, statement};
use crate::{ActionCache, ActionResult, StoreError};

impl ActionResult {
    /// The result with a signature that says that it came of this action, and whose it is.
    #[must_use]
    pub fn signed(mut self, key: &SigningKey, scope: &Scope, action: &Digest) -> Self {
        let signature = statement::bytes(scope, action, &self).map(|bytes| key.sign(&bytes));
        self.signature = signature.map(|bytes| Signature { key: key.public(), scope: scope.clone(), bytes });
        self
    }

    /// Who signed that this result came of this action, in this scope.
    pub fn signer(&self, scope: &Scope, action: &Digest) -> Option<PublicKey> {
        let signature = self.signature.as_ref().filter(|signature| signature.scope == *scope)?;
        let bytes = statement::bytes(scope, action, self)?;
        signature.key.signed(&bytes, &signature.bytes).then_some(signature.key)
    }

    /// Whether one of these signed that.
    pub(super) fn is_signed_by(&self, keys: &BTreeSet<PublicKey>, scope: &Scope, action: &Digest) -> bool {
        self.signer(scope, action).is_some_and(|key| keys.contains(&key))
    }
}

/// Signs what is recorded, unless somebody did before.
#[derive(Debug)]
pub struct Signed {
    inner: Arc<dyn ActionCache>,
    key: SigningKey,
    scope: Scope,
}

impl Signed {
    /// Signs results of `scope` on their way into `inner`.
    pub fn new(inner: Arc<dyn ActionCache>, key: SigningKey, scope: Scope) -> Self {
        Self { inner, key, scope }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for Signed {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        self.inner.get(action).await
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        if result.signer(&self.scope, action).is_some() {
            return self.inner.put(action, result).await;
        }
        self.inner.put(action, &result.clone().signed(&self.key, &self.scope, action)).await
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.inner.remove(action).await
    }
}

/// Hands out only results of a scope that somebody signed who is trusted.
#[derive(Debug)]
pub struct Trusted {
    inner: Arc<dyn ActionCache>,
    scope: Scope,
    keys: BTreeSet<PublicKey>,
    refused: Arc<Refusals>,
}

impl Trusted {
    /// Believes results of `scope` in `inner` that are signed with one of `keys`.
    pub fn new(inner: Arc<dyn ActionCache>, scope: Scope, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        Self { inner, scope, keys: keys.into_iter().collect(), refused: Arc::default() }
    }

    /// The same, which tells others what it refused.
    #[must_use]
    pub fn telling(self, refused: Arc<Refusals>) -> Self {
        Self { refused, ..self }
    }

    /// Results that were not believed since this was last asked, at most the last thousand.
    pub fn take_refused(&self) -> Vec<Refused> {
        self.refused.take()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for Trusted {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        let Some(result) = self.inner.get(action).await? else { return Ok(None) };
        if result.is_signed_by(&self.keys, &self.scope, action) {
            return Ok(Some(result));
        }
        self.refused.add(action, &result, &self.scope);
        Ok(None)
    }

    async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
        self.inner.put(action, result).await
    }

    async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
        self.inner.remove(action).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryActionCache, conformance};
    use cullet_digest::DigestFunction;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32]).unwrap()
    }

    fn action(text: &str) -> Digest {
        DigestFunction::Blake3.digest(text.as_bytes())
    }

    #[tokio::test]
    async fn conforms() {
        let memory = || Arc::new(MemoryActionCache::new(100));
        let public = key(1).public();
        // What comes back has a signature that it went in without.
        let made = || {
            Unsigned(Trusted::new(
                Arc::new(Signed::new(memory(), key(1), Scope::Protected)),
                Scope::Protected,
                [public],
            ))
        };
        conformance::action_cache(made).await;
    }

    /// Without the signature, for a comparison.
    #[derive(Debug)]
    struct Unsigned(Trusted);

    #[async_trait]
    impl ActionCache for Unsigned {
        async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
            Ok(self.0.get(action).await?.map(|result| ActionResult { signature: None, ..result }))
        }

        async fn put(&self, action: &Digest, result: &ActionResult) -> Result<(), StoreError> {
            self.0.put(action, result).await
        }

        async fn remove(&self, action: &Digest) -> Result<(), StoreError> {
            self.0.remove(action).await
        }
    }

    #[tokio::test]
    async fn only_what_a_trusted_key_signed_for_this_action_and_scope_is_believed() {
        let memory = Arc::new(MemoryActionCache::new(100));
        let trusted = Trusted::new(memory.clone(), Scope::Protected, [key(1).public()]);
        let good = conformance::result("good").signed(&key(1), &Scope::Protected, &action("a"));
        let branch = Scope::Branch("x".to_owned());
        let changed = ActionResult { exit_code: 7, ..good.clone() };
        let moved = conformance::result("good").signed(&key(1), &branch, &action("a"));
        let relabelled = {
            let mut result = moved.clone();
            result.signature.as_mut().unwrap().scope = Scope::Protected;
            result
        };
        let impostor = {
            let mut result = conformance::result("good").signed(&key(2), &Scope::Protected, &action("a"));
            result.signature.as_mut().unwrap().key = key(1).public();
            result
        };
        for (what, result, is_believed) in [
            ("good", good.clone(), true),
            ("unsigned", conformance::result("good"), false),
            ("changed", changed, false),
            ("of another scope", moved, false),
            ("relabelled", relabelled, false),
            (
                "of a stranger",
                conformance::result("good").signed(&key(2), &Scope::Protected, &action("a")),
                false,
            ),
            ("of an impostor", impostor, false),
        ] {
            memory.put(&action("a"), &result).await.unwrap();
            assert_eq!(trusted.get(&action("a")).await.unwrap().is_some(), is_believed, "{what}");
            assert_eq!(trusted.take_refused().len(), usize::from(!is_believed), "{what}");
        }
        memory.put(&action("b"), &good).await.unwrap();
        assert!(trusted.get(&action("b")).await.unwrap().is_none(), "of another action");
    }

    #[tokio::test]
    async fn what_somebody_else_signed_for_this_scope_stays_theirs() {
        let memory = Arc::new(MemoryActionCache::new(100));
        let signed = Signed::new(memory.clone(), key(1), Scope::Protected);
        let theirs = conformance::result("x").signed(&key(2), &Scope::Protected, &action("a"));
        signed.put(&action("a"), &theirs).await.unwrap();
        let kept = memory.get(&action("a")).await.unwrap().unwrap();
        assert_eq!(kept.signer(&Scope::Protected, &action("a")), Some(key(2).public()));
    }
}
