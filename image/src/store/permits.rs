//! How many downloads there are at once, for each registry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Each registry has its own, so that one that is slow holds up nobody who wants something of another. Those in use are
/// known, and no others: they are no more than pulls under way.
#[derive(Debug)]
pub(super) struct Permits {
    each: usize,
    registries: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Permits {
    pub(super) fn new(each: usize) -> Self {
        Self { each: each.max(1), registries: Mutex::default() }
    }

    /// Waits for one of this registry. None where there are none any more, which nobody brings about.
    pub(super) async fn take(&self, registry: &str) -> Option<OwnedSemaphorePermit> {
        let of_registry = {
            let mut registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
            registries.retain(|_, permits| Arc::strong_count(permits) > 1);
            let permits = registries.entry(registry.to_owned());
            Arc::clone(permits.or_insert_with(|| Arc::new(Semaphore::new(self.each))))
        };
        of_registry.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn each_registry_has_its_own_and_what_nobody_uses_is_forgotten() {
        let permits = Permits::new(1);
        let taken = |registry| permits.take(registry).now_or_never().flatten();
        let one = taken("a").unwrap();
        assert!(taken("a").is_none());
        let other = taken("b").unwrap();
        drop(one);
        let again = taken("a").unwrap();
        assert_eq!(permits.registries.lock().unwrap().len(), 2);
        drop((again, other));
        drop(taken("c"));
        assert_eq!(permits.registries.lock().unwrap().len(), 1);
    }
}
