//! Limits and preferences. Part of the state, so that all who apply the log agree on them.

use serde::{Deserialize, Serialize};

/// What [`crate::LogCommand::Configure`] changes. The default is right for one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Runs that may be under way at once.
    pub max_live_runs: u32,
    /// Steps that these may have together.
    pub max_live_steps: u64,
    /// Steps that those of one tenant may have together.
    pub max_live_steps_per_tenant: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_live_runs: 10_000, max_live_steps: 1_000_000, max_live_steps_per_tenant: 1_000_000 }
    }
}
