//! Sets of labels that live runs ask workers for, each known by a number.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::spec::Label;

/// A set of labels, numbered while a live run asks for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct LabelSetId(u64);

impl LabelSetId {
    /// The empty set, which every worker has.
    pub(crate) const NONE: Self = Self(0);
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LabelSet {
    labels: Arc<[Label]>,
    /// How often runs name it.
    users: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LabelSets {
    all: BTreeMap<LabelSetId, LabelSet>,
    by_labels: BTreeMap<Arc<[Label]>, LabelSetId>,
    last: u64,
}

fn canonical(labels: &[Label]) -> Vec<Label> {
    let mut labels = labels.to_vec();
    labels.sort_unstable();
    labels.dedup();
    labels
}

impl LabelSets {
    /// Gives a set its number, and says whether that is a new one.
    pub(crate) fn enter(&mut self, labels: &[Label]) -> (LabelSetId, bool) {
        let labels = canonical(labels);
        if labels.is_empty() {
            return (LabelSetId::NONE, false);
        }
        if let Some(id) = self.by_labels.get(&labels[..]) {
            if let Some(set) = self.all.get_mut(id) {
                set.users += 1;
            }
            return (*id, false);
        }
        self.last += 1;
        let (id, labels) = (LabelSetId(self.last), Arc::<[Label]>::from(labels));
        self.by_labels.insert(Arc::clone(&labels), id);
        self.all.insert(id, LabelSet { labels, users: 1 });
        (id, true)
    }

    /// A run that entered the set is at its end. Says whether the number is free again.
    pub(crate) fn leave(&mut self, id: LabelSetId) -> bool {
        let Some(set) = self.all.get_mut(&id) else { return false };
        set.users -= 1;
        if set.users > 0 {
            return false;
        }
        self.by_labels.remove(&set.labels);
        self.all.remove(&id);
        true
    }

    pub(crate) fn labels(&self, id: LabelSetId) -> &[Label] {
        self.all.get(&id).map_or(&[], |set| &set.labels)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = LabelSetId> {
        std::iter::once(LabelSetId::NONE).chain(self.all.keys().copied())
    }

    /// How many sets there would be with these.
    pub(crate) fn len_with(&self, sets: &[Box<[Label]>]) -> usize {
        let mut further: Vec<_> = sets.iter().map(|labels| canonical(labels)).collect();
        further.retain(|labels| !labels.is_empty() && !self.by_labels.contains_key(&labels[..]));
        further.sort_unstable();
        further.dedup();
        self.all.len() + further.len()
    }
}
