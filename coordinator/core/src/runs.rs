//! All runs, shared with copies of the state until one of them changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::RunId;
use crate::run::Run;

/// Copying this takes time in proportion to the runs, not to their steps. The first change to a run after that
/// copies the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runs(BTreeMap<RunId, Arc<Run>>);

impl Runs {
    pub(crate) fn get(&self, id: &RunId) -> Option<&Run> {
        self.0.get(id).map(|run| &**run)
    }

    pub(crate) fn get_mut(&mut self, id: &RunId) -> Option<&mut Run> {
        self.0.get_mut(id).map(Arc::make_mut)
    }

    pub(crate) fn contains_key(&self, id: &RunId) -> bool {
        self.0.contains_key(id)
    }

    pub(crate) fn insert(&mut self, id: RunId, run: Run) {
        self.0.insert(id, Arc::new(run));
    }

    pub(crate) fn remove(&mut self, id: &RunId) {
        self.0.remove(id);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RunId, &Run)> {
        self.0.iter().map(|(id, run)| (*id, &**run))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Run> {
        self.0.values().map(|run| &**run)
    }
}
