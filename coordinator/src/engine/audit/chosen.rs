//! Hits that are to be looked into.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use cullet_cache::Scope;
use cullet_digest::{Digest, TreeRef};

/// As many as wait for a quiet moment. More only make those older that are looked into.
const MOST: usize = 64;

/// A step that the cache answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// What it was submitted with.
    pub(super) submission: Digest,
    /// Of which pipeline it is.
    pub(super) pipeline: String,
    /// Its name.
    pub(super) step: String,
    /// What lay where, in the order of its specification.
    pub(super) inputs: Vec<TreeRef>,
    /// Its key.
    pub(super) action: Digest,
    /// Whose run it was.
    pub(super) scope: Scope,
}

/// Some, each key once; the latest are the first.
#[derive(Debug, Default)]
pub(in crate::engine) struct Chosen(Mutex<VecDeque<Candidate>>);

impl Chosen {
    pub(super) fn add(&self, candidate: Candidate) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.iter().any(|other| other.action == candidate.action && other.scope == candidate.scope) {
            return;
        }
        all.push_front(candidate);
        all.truncate(MOST);
    }

    pub(super) fn next(&self) -> Option<Candidate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;

    #[test]
    fn each_is_there_once_and_no_more_than_fit() {
        let chosen = Chosen::default();
        let candidate = |number: usize| Candidate {
            submission: DigestFunction::Blake3.digest(b""),
            pipeline: String::new(),
            step: number.to_string(),
            inputs: Vec::new(),
            action: DigestFunction::Blake3.digest(&number.to_le_bytes()),
            scope: Scope::Protected,
        };
        (0..MOST + 5).for_each(|number| chosen.add(candidate(number)));
        chosen.add(candidate(MOST));
        let branch = Candidate { scope: Scope::Branch("x".to_owned()), ..candidate(MOST) };
        chosen.add(branch.clone());
        assert_eq!(chosen.next(), Some(branch), "the latest");
        let rest: Vec<_> = std::iter::from_fn(|| chosen.next()).collect();
        assert_eq!((rest.len(), rest[0].step.as_str()), (MOST - 1, &*(MOST + 4).to_string()));
    }
}
