//! Nobody will ask for a run any more.

use super::Transition;
use crate::RunId;

impl Transition<'_> {
    pub(super) fn forget(&mut self, id: RunId) {
        // Nothing of a finished run stands in any line or runs anywhere, so it can be dropped as a whole.
        if self.state.runs.get(&id).is_some_and(|run| run.status().is_some()) {
            self.state.runs.remove(&id);
        } else {
            self.refuse();
        }
    }
}
