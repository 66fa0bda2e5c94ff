//! What was asked of the cluster, and what it said.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use cullet_core::RunId;

/// What whoever submitted a run knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// None yet, or none in time: it may be there or not, now or later.
    Unknown,
    /// It is there, for good.
    Acknowledged,
    /// Nothing was done, and nothing will be.
    Refused,
}

/// Of everything that was submitted.
#[derive(Clone, Default)]
pub(crate) struct History {
    runs: Rc<RefCell<BTreeMap<RunId, Answer>>>,
    closed_at: Rc<Cell<Option<Duration>>>,
}

impl History {
    /// A new run is about to be submitted.
    pub(crate) fn submit(&self) -> RunId {
        let mut runs = self.runs.borrow_mut();
        let run = RunId(runs.len() as u128 + 1);
        runs.insert(run, Answer::Unknown);
        run
    }

    pub(crate) fn answer(&self, run: RunId, answer: Answer) {
        self.runs.borrow_mut().insert(run, answer);
    }

    /// All runs with this answer so far.
    pub(crate) fn with(&self, answer: Answer) -> Vec<RunId> {
        let runs = self.runs.borrow();
        runs.iter().filter(|(_, known)| **known == answer).map(|(run, _)| *run).collect()
    }

    pub(crate) fn count(&self, answer: Answer) -> usize {
        self.runs.borrow().values().filter(|known| **known == answer).count()
    }

    /// Nothing more is submitted.
    pub(crate) fn close(&self, at: Duration) {
        self.closed_at.set(Some(at));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed_at.get().is_some()
    }

    /// For how long nothing was submitted.
    pub(crate) fn closed_for(&self, now: Duration) -> Duration {
        self.closed_at.get().map_or(Duration::ZERO, |at| now - at)
    }
}
