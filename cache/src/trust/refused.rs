//! Results that were there and not believed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cullet_digest::Digest;

use super::{PublicKey, Scope};
use crate::ActionResult;

/// A result that was there and not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Whose result.
    pub action: Digest,
    /// The key that it says to be signed with, whether that is so or not; none where it says nothing.
    pub claimed: Option<PublicKey>,
}

/// What all readers of a store refused together, each action once.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<BTreeMap<Digest, Option<PublicKey>>>);

/// How many are remembered: somebody who fills a store with results that nobody believes must not fill our memory.
const MOST_REMEMBERED: usize = 1024;

impl Refusals {
    pub(crate) fn add(&self, action: &Digest, result: &ActionResult, scope: &Scope) {
        let claimed = result.signature.as_ref().map(|signature| signature.key);
        tracing::debug!(action = %action.short(), ?claimed, %scope, "a result is not believed");
        let mut known = self.lock();
        if known.len() < MOST_REMEMBERED {
            known.insert(*action, claimed);
        }
    }

    /// Those since this was last asked, at most the first thousand.
    pub fn take(&self) -> Vec<Refused> {
        let known = std::mem::take(&mut *self.lock());
        known.into_iter().map(|(action, claimed)| Refused { action, claimed }).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Option<PublicKey>>> {
        // Every change is one insertion.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
