//! "Did you mean": the name closest to a misspelt one.

use std::cell::Cell;

/// Comparisons allowed per compilation. A file with thousands of wrong references to thousands of steps would
/// otherwise take quadratic time; nobody reads that many suggestions.
const COMPARISONS: u32 = 1_000_000;

/// Finds suggestions within a budget.
#[derive(Debug)]
pub(crate) struct Suggester {
    left: Cell<u32>,
}

impl Default for Suggester {
    fn default() -> Self {
        Suggester { left: Cell::new(COMPARISONS) }
    }
}

impl Suggester {
    /// The candidate closest to `name`, if any is close enough to be a slip of the keyboard.
    pub(crate) fn closest<'n>(
        &self,
        name: &str,
        candidates: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        let limit = (name.chars().count() / 3).max(1);
        let mut best: Option<(usize, &str)> = None;
        for candidate in candidates {
            let left = self.left.get();
            if left == 0 {
                break;
            }
            self.left.set(left - 1);
            if candidate.len().abs_diff(name.len()) > 4 * limit || name.len() > 100 {
                continue;
            }
            let distance = strsim::osa_distance(&name.to_lowercase(), &candidate.to_lowercase());
            // Names of one character are all one slip away from each other.
            let alike = distance <= limit && distance < name.chars().count();
            if alike && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, candidate));
            }
        }
        best.map(|(_, candidate)| candidate)
    }
}
