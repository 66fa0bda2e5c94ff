//! What happened in a run, in order.

use std::cell::RefCell;
use std::fmt::Display;
use std::rc::Rc;

/// Lines that two runs of the same seed must have in common.
#[derive(Clone, Default)]
pub(crate) struct Trace(Rc<RefCell<Lines>>);

#[derive(Default)]
struct Lines {
    hasher: blake3::Hasher,
    count: u64,
    shown: bool,
}

impl Trace {
    /// Shows lines as they come, or only hashes them.
    pub(crate) fn new(shown: bool) -> Self {
        Self(Rc::new(RefCell::new(Lines { shown, ..Lines::default() })))
    }

    pub(crate) fn add(&self, line: impl Display) {
        let mut lines = self.0.borrow_mut();
        let at = turmoil::sim_elapsed().map(|at| at.as_millis());
        let line = at.map_or_else(|| line.to_string(), |at| format!("{at} {line}"));
        lines.hasher.update(line.as_bytes());
        lines.hasher.update(b"\n");
        lines.count += 1;
        if lines.shown {
            println!("{line}");
        }
    }

    /// The first half of the hash of all lines, and how many there are.
    pub(crate) fn hash(&self) -> (String, u64) {
        let lines = self.0.borrow();
        (lines.hasher.finalize().to_hex()[..32].to_owned(), lines.count)
    }
}
