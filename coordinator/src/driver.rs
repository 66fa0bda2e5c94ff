//! How commands reach the core.

use async_trait::async_trait;
use cullet_core::{Effect, LogCommand, NEWEST_VERSION, State};

/// Orders commands and applies them to the core. Driven directly on one machine; through raft in a cluster,
/// where a command is durable on a quorum before its effects come back.
#[async_trait]
pub trait Driver: Send + Sync {
    /// Applies `commands` in this order and gives the effects that this node has to perform.
    async fn propose(&mut self, commands: Vec<LogCommand>) -> Result<Vec<Effect>, DriveError>;

    /// The state after everything that [`Driver::propose`] has answered.
    fn state(&self) -> &State;
}

/// Why commands could not be applied. None of them was, or it is unknown whether they were.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// This node may not decide, and nobody else could be asked in time.
    #[error("no coordinator can decide right now: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// There is no room for the run.
    #[error("there is no room for the run")]
    Refused,
}

/// One core in this process: nothing is durable, nothing is agreed, nothing can fail.
#[derive(Debug)]
pub struct DirectDriver {
    state: State,
}

impl Default for DirectDriver {
    /// Nobody else has to agree, so it is of the newest version.
    fn default() -> Self {
        Self { state: State::new(NEWEST_VERSION) }
    }
}

#[async_trait]
impl Driver for DirectDriver {
    async fn propose(&mut self, commands: Vec<LogCommand>) -> Result<Vec<Effect>, DriveError> {
        let mut effects = Vec::new();
        for command in &commands {
            effects.append(&mut self.state.apply(command));
        }
        Ok(effects)
    }

    fn state(&self) -> &State {
        &self.state
    }
}
