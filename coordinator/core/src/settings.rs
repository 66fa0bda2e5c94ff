//! Limits and preferences. Part of the state, so that all who apply the log agree on them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TimeMs;
use crate::ready::{Lack, Stuck};

/// What [`crate::LogCommand::Configure`] changes. The default is right for one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Runs that may be under way at once.
    pub max_live_runs: u32,
    /// Runs of one tenant that may be under way at once.
    pub max_live_runs_per_tenant: u32,
    /// Steps that all live runs may have together.
    pub max_live_steps: u64,
    /// Steps that those of one tenant may have together.
    pub max_live_steps_per_tenant: u64,
    /// Distinct sets of labels that these may ask for together. Each worker is compared with each.
    pub max_label_sets: u32,
    /// How long, in milliseconds, a step waits that no worker there is could ever run, while there are some.
    pub placement_grace_ms: u64,
    /// How long, in milliseconds, a step waits while no worker takes steps at all.
    pub absence_grace_ms: u64,
    /// How long, in milliseconds, a step that a machine failed waits for room on another one before it may go back to
    /// the one that failed it. Where no other one could ever run it, it goes back at once.
    pub shun_grace_ms: u64,
    /// How much of the workers a tenant gets compared with others; 1 for those that are not named.
    pub tenant_weights: BTreeMap<Box<str>, u32>,
    /// Names of steps whose duration is remembered.
    pub max_durations: u32,
    /// Runs at their end that are kept for whoever asks. Of what is more, the oldest run goes of the tenant that has the
    /// most.
    pub keep_finished_runs: u32,
    /// Runs at their end that are kept of one tenant, the latest ones.
    pub keep_finished_runs_per_tenant: u32,
    /// Steps that all that are kept may have together. Here the tenant with the most steps gives way.
    pub keep_finished_steps: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_live_runs: 10_000,
            max_live_runs_per_tenant: 10_000,
            max_live_steps: 1_000_000,
            max_live_steps_per_tenant: 1_000_000,
            max_label_sets: 1_000,
            placement_grace_ms: 0,
            // A machine that is started again takes minutes, and so does one that somebody has to order first.
            absence_grace_ms: 300_000,
            // Short beside most steps, and long enough for a machine that is started again to be well.
            shun_grace_ms: 30_000,
            tenant_weights: BTreeMap::new(),
            max_durations: 10_000,
            keep_finished_runs: 10_000,
            keep_finished_runs_per_tenant: 10_000,
            keep_finished_steps: 1_000_000,
        }
    }
}

impl Settings {
    pub(crate) const fn grace_ms(&self, lack: Lack) -> u64 {
        match lack {
            Lack::AnyWorker => self.absence_grace_ms,
            Lack::AbleWorker => self.placement_grace_ms,
        }
    }

    /// When steps fail that no worker takes.
    pub(crate) const fn deadline(&self, stuck: Stuck) -> TimeMs {
        stuck.since.saturating_add(self.grace_ms(stuck.lack))
    }

    /// When a step may go back to the worker that it has shunned since then.
    pub(crate) const fn shunned_until(&self, since: TimeMs) -> TimeMs {
        since.saturating_add(self.shun_grace_ms)
    }

    pub(crate) fn weight(&self, tenant: &str) -> u32 {
        self.tenant_weights.get(tenant).copied().unwrap_or(1).max(1)
    }
}
