//! Runs that are at their end and kept for whoever asks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{RunId, Settings};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    run: RunId,
    steps: u64,
    /// How many commands were applied before the one that ended it.
    ended: u64,
}

/// In the order in which they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retired {
    line: BTreeMap<u64, Kept>,
    last: u64,
    steps: u64,
}

impl Retired {
    /// Gives the run's place in the line.
    pub(crate) fn push(&mut self, run: RunId, steps: u64, ended: u64) -> u64 {
        self.last += 1;
        self.steps += steps;
        self.line.insert(self.last, Kept { run, steps, ended });
        self.last
    }

    pub(crate) fn remove(&mut self, place: u64) {
        if let Some(kept) = self.line.remove(&place) {
            self.steps -= kept.steps;
        }
    }

    /// The oldest that is one too many. What a command ended it does not take away: somebody may want to see it.
    pub(crate) fn excess(&self, settings: &Settings, now: u64) -> Option<RunId> {
        let many = self.line.len() > settings.keep_finished_runs as usize;
        let large = self.steps > settings.keep_finished_steps;
        let oldest = self.line.values().next().filter(|_| many || large)?;
        (oldest.ended < now).then_some(oldest.run)
    }
}
