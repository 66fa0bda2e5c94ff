//! What came of a run.

use std::fmt;
use std::time::Duration;

/// Of one seed.
pub(crate) struct Verdict {
    pub(crate) seed: u64,
    /// What was wrong, if something was.
    pub(crate) broken: Option<String>,
    pub(crate) acknowledged: usize,
    pub(crate) planned: usize,
    pub(crate) fired: usize,
    pub(crate) hash: String,
    pub(crate) lines: u64,
    /// Simulated time.
    pub(crate) took: Duration,
}

impl Verdict {
    /// A run in which a planned fault did not happen, or in which nothing worked, says nothing.
    pub(crate) fn counts(&self) -> bool {
        self.fired == self.planned && self.acknowledged > 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, acknowledged, planned, fired, hash, lines, took, .. } = self;
        let what = match &self.broken {
            Some(broken) => format!("broken: {broken}"),
            None if self.counts() => "holds".to_owned(),
            None => "does not count".to_owned(),
        };
        let took = took.as_millis();
        write!(
            f,
            "seed {seed}: {acknowledged} acknowledged, {fired} of {planned} faults, {took} ms, trace {hash} of {lines} lines: {what}"
        )
    }
}
