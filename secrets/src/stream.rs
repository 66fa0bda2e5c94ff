//! Masking of what comes in pieces, cut anywhere.

use zeroize::Zeroizing;

use crate::mask::{MASK, Masker, passed};
use crate::value::SHORTEST;
use crate::wrapped::Unwrapping;

/// One stream. Less than [`PIECE`](crate::mask::PIECE) bytes are held back, and only those that may be the beginning of a
/// value.
#[derive(Default)]
pub struct MaskedStream {
    held: Zeroizing<Vec<u8>>,
    /// What came before it.
    before: Unwrapping,
    /// So many of them belong to a value that began before.
    covered: usize,
    /// What was given last was a mask: a value that follows at once is part of the same.
    masked: bool,
}

impl MaskedStream {
    /// Takes more, and gives on what is certain.
    pub fn feed(&mut self, masker: &Masker, bytes: &[u8], give: &mut dyn FnMut(&[u8])) {
        let Some(finder) = masker.finder() else { return give(bytes) };
        self.held.extend_from_slice(bytes);
        let unsure = finder.unsure_from(self.before, &self.held, 1);
        self.release(masker, unsure, give);
    }

    /// Gives on the rest: nothing comes any more. A value of which only the beginning came, because its writer was stopped,
    /// is masked as well.
    pub fn finish(&mut self, masker: &Masker, give: &mut dyn FnMut(&[u8])) {
        let Some(finder) = masker.finder() else { return };
        let begun = finder.unsure_from(self.before, &self.held, SHORTEST);
        self.release(masker, begun, give);
        self.covered = self.held.len();
        self.release(masker, self.held.len(), give);
    }

    /// Gives on what lies before `end`.
    fn release(&mut self, masker: &Masker, end: usize, give: &mut dyn FnMut(&[u8])) {
        let Some(finder) = masker.finder() else { return };
        let found = finder.find(self.before, &self.held);
        let mut secret = union(self.covered, found.into_iter().filter(|(start, _)| *start < end));
        // What may be longer than it looks is found again, but for the part that is known already.
        let covered = secret.last().map_or(0, |(_, last)| last.saturating_sub(end));
        let mut at = 0;
        for (start, last) in secret.drain(..) {
            if start >= end {
                break;
            }
            if start > at {
                give(&self.held[at..start]);
                self.masked = false;
            }
            if !self.masked {
                give(MASK);
            }
            self.masked = true;
            at = last.min(end);
        }
        if at < end {
            give(&self.held[at..end]);
            self.masked = false;
        }
        self.before = passed(self.before, &self.held, end);
        let mut rest = Zeroizing::new(self.held[end..].to_vec());
        std::mem::swap(&mut self.held, &mut rest);
        self.covered = covered;
    }
}

/// Merges what overlaps or touches. The first `covered` bytes belong to it.
fn union(covered: usize, found: impl Iterator<Item = (usize, usize)>) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = found.collect();
    if covered > 0 {
        found.push((0, covered));
    }
    found.sort_unstable();
    let mut merged: Vec<(usize, usize)> = Vec::new();
    for (start, end) in found {
        match merged.last_mut() {
            Some((_, last)) if start <= *last => *last = end.max(*last),
            _ => merged.push((start, end)),
        }
    }
    merged
}

impl std::fmt::Debug for MaskedStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MaskedStream").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
