//! Where every part of the compiler puts the problems it finds.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use super::suggest::Suggester;
use super::{Diagnostic, Diagnostics, SHOWN, Severity, Span};
use crate::expr::Fault;

/// Problems kept for sorting. The first [`SHOWN`] by position are wanted, and they are found in almost that
/// order; beyond this they are only counted, so that a hostile file cannot fill the memory.
const KEPT: usize = 10_000;

/// Line and column of a scalar, and bytes into its text.
type Place = (u32, u32, usize);

/// Collects problems; shared by reference, so that decoding can go on while something is reported.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    list: RefCell<Vec<Diagnostic>>,
    seen: RefCell<HashSet<(u32, u32, String)>>,
    faults: RefCell<HashSet<(Place, String)>>,
    uncounted: Cell<usize>,
    errors: Cell<usize>,
    suggester: Suggester,
}

impl Sink {
    /// Adds a problem. The same one at the same place (a matrix, an alias) is kept once.
    pub(crate) fn push(&self, problem: Diagnostic) {
        if problem.severity == Severity::Error {
            self.errors.set(self.errors.get() + 1);
        }
        let mut list = self.list.borrow_mut();
        if list.len() >= KEPT {
            self.uncounted.set(self.uncounted.get() + 1);
            return;
        }
        let (line, column) = problem.span.map_or((0, 0), |span| (span.line, span.column));
        if self.seen.borrow_mut().insert((line, column, problem.message.clone())) {
            list.push(problem);
        }
    }

    /// How many errors were found so far; warnings do not count.
    pub(crate) fn errors(&self) -> usize {
        self.errors.get()
    }

    /// Whether an error, not only warnings, was found.
    pub(crate) fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// Whether this is the first fault of this kind at this place. Instances of a matrix have the same ones, and
    /// finding the exact column takes a walk through the file.
    pub(crate) fn is_new_fault(&self, scalar: Span, fault: &Fault) -> bool {
        let place = (scalar.line, scalar.column, fault.offset);
        let new = self.faults.borrow_mut().insert((place, fault.complaint.message.clone()));
        if !new {
            self.errors.set(self.errors.get() + 1);
        }
        new
    }

    /// Whether so many problems are known that finding the exact column of another one is not worth the time.
    pub(crate) fn is_crowded(&self) -> bool {
        self.list.borrow().len() >= SHOWN
    }

    /// "did you mean `x`?", if one of the candidates is close to `name`.
    pub(crate) fn did_you_mean<'n>(
        &self,
        name: &str,
        candidates: impl IntoIterator<Item = &'n str>,
    ) -> Option<String> {
        self.suggester.closest(name, candidates).map(|best| format!("did you mean `{best}`?"))
    }

    /// Everything found, in the order of the file. The text is only kept where there is something to show of it.
    pub(crate) fn finish(self, file: &str, text: &str) -> Diagnostics {
        let mut list = self.list.into_inner();
        list.sort_by_key(|problem| problem.span);
        let omitted = list.len().saturating_sub(SHOWN) + self.uncounted.get();
        // An error must never be pushed out by a hundred warnings.
        if omitted > 0 && self.errors.get() > 0 {
            list.sort_by_key(|problem| problem.severity == Severity::Warning);
            list.truncate(SHOWN);
            list.sort_by_key(|problem| problem.span);
        }
        list.truncate(SHOWN);
        let text = if list.is_empty() { "" } else { text };
        Diagnostics { file: file.to_owned(), text: text.into(), list, omitted }
    }
}
