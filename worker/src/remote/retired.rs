//! Attempts whose end is in the log, remembered for a while: a coordinator that leads no more may still ask for one.

use std::collections::{BTreeMap, VecDeque};

use super::key::{AttemptKey, StepKey};

/// The newest finished epoch of steps.
#[derive(Debug)]
pub(super) struct Retired {
    epochs: BTreeMap<StepKey, u64>,
    order: VecDeque<StepKey>,
    most: usize,
}

impl Retired {
    /// Of at most so many steps.
    pub(super) const fn new(most: usize) -> Self {
        Self { epochs: BTreeMap::new(), order: VecDeque::new(), most }
    }

    pub(super) fn add(&mut self, key: AttemptKey) {
        match self.epochs.get_mut(&key.step) {
            Some(epoch) => *epoch = key.epoch.max(*epoch),
            None => {
                self.epochs.insert(key.step, key.epoch);
                self.order.push_back(key.step);
            }
        }
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.epochs.remove(&oldest);
        }
    }

    /// Whether it, or a newer attempt at its step, is known to have ended.
    pub(super) fn covers(&self, key: AttemptKey) -> bool {
        self.epochs.get(&key.step).is_some_and(|epoch| *epoch >= key.epoch)
    }
}
