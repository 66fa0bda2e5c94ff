//! Workers that steps are to be tried again without, each known by a number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Workers that are shunned at once. Each of them makes steps differ that were interchangeable, and a decision takes
/// longer by that; where more machines than these fail steps at the same time, the machines are not at fault.
const MAX: u8 = 8;

/// A name of a worker, numbered while a step shuns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ShunnedId(u8);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Name {
    name: Box<str>,
    /// Steps that shun it.
    users: u64,
}

/// By name and not by number: a machine that starts its worker again is the same machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shunned(BTreeMap<ShunnedId, Name>);

impl Shunned {
    /// One more step shuns the worker of this name; none if too many others are shunned.
    pub(crate) fn enter(&mut self, name: &str) -> Option<ShunnedId> {
        if let Some((id, known)) = self.0.iter_mut().find(|(_, known)| *known.name == *name) {
            known.users += 1;
            return Some(*id);
        }
        let id = (0..MAX).map(ShunnedId).find(|id| !self.0.contains_key(id))?;
        self.0.insert(id, Name { name: name.into(), users: 1 });
        Some(id)
    }

    /// A step shuns it no longer.
    pub(crate) fn leave(&mut self, id: ShunnedId) {
        let Some(known) = self.0.get_mut(&id) else { return };
        known.users -= 1;
        if known.users == 0 {
            self.0.remove(&id);
        }
    }

    /// Whether this is the number of that name.
    pub(crate) fn is(&self, id: ShunnedId, name: &str) -> bool {
        self.0.get(&id).is_some_and(|known| *known.name == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number_as_long_as_anybody_shuns_it_and_there_are_only_so_many() {
        let mut shunned = Shunned::default();
        let first = shunned.enter("w0");
        assert_eq!(shunned.enter("w0"), first);
        for other in 1..MAX {
            assert_ne!(shunned.enter(&format!("w{other}")), None);
        }
        assert_eq!(shunned.enter("one too many"), None);
        let first = first.expect("a number");
        shunned.leave(first);
        assert!(shunned.is(first, "w0") && !shunned.is(first, "w1"), "the other step still shuns it");
        shunned.leave(first);
        assert!(!shunned.is(first, "w0"));
        assert_eq!(shunned.enter("another"), Some(first));
    }
}
