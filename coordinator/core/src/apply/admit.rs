//! Whether there is room for one more run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::State;
use crate::durations::UNKNOWN_MS;
use crate::spec::RunSpec;

/// Why a run was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// As many runs are under way as may be.
    Runs {
        /// How many that is.
        limit: u32,
    },
    /// Those under way would have more steps together than they may.
    Steps {
        /// How many they may.
        limit: u64,
    },
    /// They would ask for more sets of labels together than they may.
    LabelSets {
        /// How many they may.
        limit: u32,
    },
    /// The tenant's would.
    StepsOfTenant {
        /// How many they may.
        limit: u64,
    },
    /// A run with this id was here, ended and was forgotten. That there is room again changes nothing.
    Forgotten,
    /// As many runs of the tenant are under way as may be.
    RunsOfTenant {
        /// How many that is.
        limit: u32,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs { limit } => write!(f, "{limit} runs are under way, and no more may be"),
            Self::Steps { limit } => write!(f, "all runs together may have {limit} steps"),
            Self::LabelSets { limit } => {
                write!(f, "all runs together may ask for {limit} sets of labels")
            }
            Self::StepsOfTenant { limit } => {
                write!(f, "the runs of one tenant together may have {limit} steps")
            }
            Self::RunsOfTenant { limit } => {
                write!(f, "{limit} runs of the tenant are under way, and no more may be")
            }
            Self::Forgotten => f.write_str("it was submitted before, has ended and is no longer remembered"),
        }
    }
}

/// A submitter that comes back sooner finds the same; one that waits longer leaves workers idle.
const RETRY_AFTER_MS: std::ops::RangeInclusive<u64> = 1_000..=30_000;

impl State {
    /// Why there is no room for this run, and after how many milliseconds there might be; none if there never
    /// will be.
    pub(super) fn no_room(&self, spec: &RunSpec) -> Option<(Refusal, Option<u64>)> {
        let (settings, live) = (&self.settings, &self.tenants);
        let steps = spec.steps.len() as u64;
        let beyond = |refusal, live: u64, limit: u64| {
            let excess = (live + steps).saturating_sub(limit);
            (excess > 0).then(|| (refusal, (steps <= limit).then(|| self.time_for(excess))))
        };
        if live.live_runs() >= settings.max_live_runs {
            let limit = settings.max_live_runs;
            // About what it takes one of them to end.
            let wait = (limit > 0).then(|| self.time_for(live.live_steps() / u64::from(limit)));
            return Some((Refusal::Runs { limit }, wait));
        }
        let of_tenant = live.live_of(&spec.tenant);
        if of_tenant.0 >= settings.max_live_runs_per_tenant {
            let limit = settings.max_live_runs_per_tenant;
            let wait = (limit > 0).then(|| self.time_for(of_tenant.1 / u64::from(limit)));
            return Some((Refusal::RunsOfTenant { limit }, wait));
        }
        let limit = settings.max_label_sets;
        let sets = self.labels.len_with(&spec.requirements);
        if sets > limit as usize {
            let possible = spec.requirements.len() <= limit as usize;
            return Some((Refusal::LabelSets { limit }, possible.then_some(*RETRY_AFTER_MS.end())));
        }
        let limit = settings.max_live_steps;
        if let Some(refused) = beyond(Refusal::Steps { limit }, live.live_steps(), limit) {
            return Some(refused);
        }
        let limit = settings.max_live_steps_per_tenant;
        beyond(Refusal::StepsOfTenant { limit }, of_tenant.1, limit)
    }

    /// How long so many steps take where as many run side by side as do now.
    fn time_for(&self, steps: u64) -> u64 {
        let running: usize = self.workers.views().map(|worker| worker.running).sum();
        let time = steps.saturating_mul(u64::from(UNKNOWN_MS)) / (running as u64).max(1);
        time.clamp(*RETRY_AFTER_MS.start(), *RETRY_AFTER_MS.end())
    }
}
