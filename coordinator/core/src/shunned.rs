//! Workers that steps are to be tried again without, each known by a number.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{StepId, TimeMs};

/// Workers that are shunned at once. Each of them makes steps differ that were interchangeable, and a decision takes
/// longer by that; where more machines than these fail steps at the same time, the machines are not at fault.
const MAX: u8 = 8;

/// A name of a worker, numbered while a step shuns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ShunnedId(u8);

/// That a step shuns a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shun {
    pub(crate) worker: ShunnedId,
    pub(crate) since: TimeMs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Name {
    name: Box<str>,
    /// Steps that shun it.
    users: u64,
}

/// By name and not by number: a machine that starts its worker again is the same machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shunned {
    names: BTreeMap<ShunnedId, Name>,
    /// Steps that shun any of them, those that began first in front.
    by_age: BTreeSet<(TimeMs, StepId)>,
}

impl Shunned {
    /// A step shuns the worker of this name from now on; not if too many others are shunned.
    pub(crate) fn enter(&mut self, name: &str, step: StepId, since: TimeMs) -> Option<Shun> {
        let known = self.names.iter_mut().find(|(_, known)| *known.name == *name);
        let worker = match known {
            Some((id, known)) => {
                known.users += 1;
                *id
            }
            None => {
                let id = (0..MAX).map(ShunnedId).find(|id| !self.names.contains_key(id))?;
                self.names.insert(id, Name { name: name.into(), users: 1 });
                id
            }
        };
        self.by_age.insert((since, step));
        Some(Shun { worker, since })
    }

    /// The step shuns it no longer.
    pub(crate) fn leave(&mut self, shun: Shun, step: StepId) {
        self.by_age.remove(&(shun.since, step));
        let Some(known) = self.names.get_mut(&shun.worker) else { return };
        known.users -= 1;
        if known.users == 0 {
            self.names.remove(&shun.worker);
        }
    }

    /// The step that has shunned a worker for longest, and since when.
    pub(crate) fn oldest(&self) -> Option<(TimeMs, StepId)> {
        self.by_age.first().copied()
    }

    /// Whether this is the number of that name.
    pub(crate) fn is(&self, id: ShunnedId, name: &str) -> bool {
        self.names.get(&id).is_some_and(|known| *known.name == *name)
    }

    pub(crate) fn name(&self, id: ShunnedId) -> Option<&str> {
        self.names.get(&id).map(|known| &*known.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RunId;

    const fn step(step: u32) -> StepId {
        StepId { run: RunId(1), step }
    }

    #[test]
    fn a_name_has_one_number_as_long_as_anybody_shuns_it_and_there_are_only_so_many() {
        let mut shunned = Shunned::default();
        let first = shunned.enter("w0", step(0), 5).expect("a number");
        let second = shunned.enter("w0", step(1), 6).expect("a number");
        assert_eq!(second, Shun { since: 6, ..first });
        for other in 1..MAX {
            assert_ne!(shunned.enter(&format!("w{other}"), step(1 + u32::from(other)), 7), None);
        }
        assert_eq!(shunned.enter("one too many", step(99), 7), None);
        assert_eq!(shunned.oldest(), Some((5, step(0))));
        shunned.leave(first, step(0));
        assert!(
            shunned.is(first.worker, "w0") && !shunned.is(first.worker, "w1"),
            "the other step still shuns it"
        );
        assert_eq!(shunned.oldest(), Some((6, step(1))));
        shunned.leave(second, step(1));
        assert!(!shunned.is(first.worker, "w0"));
        let another = shunned.enter("another", step(0), 9).map(|shun| shun.worker);
        assert_eq!(another, Some(first.worker));
    }
}
