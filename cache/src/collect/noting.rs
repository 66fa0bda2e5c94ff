//! Which results somebody uses, so that they are kept.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cullet_digest::Digest;

use super::used::{MOST_USED, note_used};
use crate::{ActionCache, ActionResult, Objects, StoreError};

/// The actions whose results were found since that was last written down.
#[derive(Debug, Default)]
pub struct UsedResults(Mutex<HashSet<Digest>>);

impl UsedResults {
    fn set(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// More than a day's record holds are not remembered: such a store is looked at by runs in other ways.
    fn add(&self, action: Digest) {
        let mut set = self.set();
        if set.len() < MOST_USED {
            set.insert(action);
        }
    }

    /// Writes them down in the store, under a name of whoever used them; nobody else writes under it.
    ///
    /// # Errors
    /// Where the store cannot be read or written: they are still to be written down then.
    pub async fn write_down(&self, objects: &dyn Objects, who: &str) -> Result<(), StoreError> {
        let actions: Vec<Digest> = std::mem::take(&mut *self.set()).into_iter().collect();
        if actions.is_empty() {
            return Ok(());
        }
        let written = note_used(objects, who, &actions).await;
        if written.is_err() {
            actions.into_iter().for_each(|action| self.add(action));
        }
        written
    }
}

/// Results of which it is remembered that they were found.
#[derive(Debug)]
pub(crate) struct Noting {
    inner: Arc<dyn ActionCache>,
    used: Arc<UsedResults>,
}

impl Noting {
    pub(crate) fn new(inner: Arc<dyn ActionCache>, used: Arc<UsedResults>) -> Self {
        Self { inner, used }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ActionCache for Noting {
    async fn get(&self, action: &Digest) -> Result<Option<ActionResult>, StoreError> {
        let found = self.inner.get(action).await?;
        if found.is_some() {
            self.used.add(*action);
        }
        Ok(found)
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

    #[tokio::test]
    async fn conforms() {
        let make = || Noting::new(Arc::new(MemoryActionCache::new(100)), Arc::default());
        conformance::action_cache(make).await;
    }
}
