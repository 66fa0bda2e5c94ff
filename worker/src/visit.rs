//! People who look into a step: a program of theirs in the step's own root, at a terminal.

use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A program that gets a terminal where the step runs: with its root, inputs, user, variables, network and limits.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// Variables beside the step's: `TERM`, above all.
    pub env: Vec<(String, String)>,
    /// Whether the step's own program runs first, and the visit begins only where that failed, with all that it left.
    /// Otherwise the visit takes its place.
    pub after_failure: bool,
    /// Who has the terminal.
    pub host: Arc<dyn TerminalHost>,
}

/// Has a terminal for whoever visits a step.
pub trait TerminalHost: Debug + Send + Sync {
    /// Takes the master side of a new pseudoterminal (pty(7)); reading from it fails when the visit is over. Dropping it
    /// ends the visit. Called at most once for a step, and must not block. From then on the step's timeout does not count.
    fn attach(&self, master: OwnedFd);
}
