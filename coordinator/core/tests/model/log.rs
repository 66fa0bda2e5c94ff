//! The replicated log as everybody sees it: one state, changed by committed commands.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use cullet_core::{Effect, LogCommand, State};

/// The state after the commands so far. Two that will do the same from here on are equal, however they came about.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) state: State,
    essence: Arc<[u8]>,
}

impl Log {
    pub(crate) fn new(state: State) -> Self {
        Self { essence: essence(&state), state }
    }

    /// Commits a command.
    pub(crate) fn commit(&mut self, command: &LogCommand) -> Vec<Effect> {
        let effects = self.state.apply(command);
        self.essence = essence(&self.state);
        effects
    }
}

/// The encoded state without the counters and the hash of its history, which come last.
fn essence(state: &State) -> Arc<[u8]> {
    let bytes = postcard::to_stdvec(state).expect("an encoding");
    let history = (state.refused(), state.applied_commands(), state.latest(), state.log_hash());
    let history = postcard::to_stdvec(&history).expect("an encoding");
    assert!(bytes.ends_with(&history), "the state ends with its history");
    bytes[..bytes.len() - history.len()].into()
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commands", self.state.applied_commands())
    }
}

impl PartialEq for Log {
    fn eq(&self, other: &Self) -> bool {
        self.essence == other.essence
    }
}

impl Eq for Log {}

impl Hash for Log {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.essence.hash(hasher);
    }
}
