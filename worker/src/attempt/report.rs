//! How an attempt ended.

use cullet_cache::ActionResult;

use crate::LostInputs;

/// The outcome of one attempt. Every result has its logs, and what its outputs name is in the cache.
#[derive(Debug)]
pub enum AttemptReport {
    /// Exit code 0, and every output that must be there is.
    Succeeded {
        /// What it gave.
        result: ActionResult,
        /// What did not work besides, such as recording the result, in sentences.
        warnings: Vec<String>,
    },
    /// The step's own fault.
    Failed {
        /// What it gave nevertheless, with the outputs that could be collected. Never recorded as an action
        /// result. A process killed by a signal has 128 and the signal's number as its exit code.
        result: ActionResult,
        /// What is wrong, where the exit code does not say it, such as a missing output.
        reason: Option<String>,
        /// What did not work besides.
        warnings: Vec<String>,
    },
    /// Stopped because it took longer than it may; exit code 124.
    TimedOut {
        /// What it gave until then.
        result: ActionResult,
        /// What did not work besides.
        warnings: Vec<String>,
    },
    /// Stopped because somebody asked; exit code 130.
    Cancelled {
        /// What it gave until then: logs, no outputs. None if it had not started.
        result: Option<ActionResult>,
    },
    /// Not the step's fault: this machine, its cache, or a source file that changed.
    Infra {
        /// What is wrong and what to do about it.
        reason: String,
        /// What it gave nevertheless, if it ran: exit code and logs.
        result: Option<ActionResult>,
    },
    /// Not the step's fault and not this machine's: no other one could start it until somebody changes something, such as
    /// an image that is not there or a login that is refused. Nothing ran.
    Impossible {
        /// What is wrong and what to do about it.
        reason: String,
    },
    /// Inputs are gone from the cache. Whoever made them has to make them again.
    InputLost(LostInputs),
}
