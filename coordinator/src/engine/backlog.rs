//! Steps whose actions are to be made and looked up.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cullet_core::{RunId, StepId};
use tokio::sync::Notify;

/// As many as there are live steps, which the core bounds.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    steps: Mutex<VecDeque<(StepId, bool)>>,
    more: Notify,
}

/// Steps of one run that one task looks up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) run: RunId,
    /// Which, and whether the cache is not to be asked.
    pub(super) steps: Vec<(u32, bool)>,
}

/// Steps that one task takes at most: enough to make a task's cost vanish, few enough that all are busy to the end.
const MOST: usize = 64;

impl Backlog {
    pub(super) fn push(&self, id: StepId, bypass_cache: bool) {
        self.lock().push_back((id, bypass_cache));
        self.more.notify_one();
    }

    /// The next steps, once there are some, for one of so many tasks.
    pub(super) async fn next(&self, tasks: usize) -> Batch {
        loop {
            if let Some(batch) = self.take(tasks) {
                return batch;
            }
            self.more.notified().await;
        }
    }

    fn take(&self, tasks: usize) -> Option<Batch> {
        let mut steps = self.lock();
        let share = (steps.len() / tasks.max(1)).clamp(1, MOST);
        let (first, bypass) = steps.pop_front()?;
        let mut batch = Batch { run: first.run, steps: vec![(first.step, bypass)] };
        while batch.steps.len() < share {
            match steps.pop_front_if(|(id, _)| id.run == first.run) {
                Some((id, bypass)) => batch.steps.push((id.step, bypass)),
                None => break,
            }
        }
        Some(batch)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(StepId, bool)>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_of_one_run_and_leaves_something_for_the_others() {
        let backlog = Backlog::default();
        let id = |run, step| StepId { run: RunId(run), step };
        (0..8).for_each(|step| backlog.push(id(1, step), step == 1));
        (0..8).for_each(|step| backlog.push(id(2, step), false));
        assert_eq!(backlog.take(4).unwrap().steps, [(0, false), (1, true), (2, false), (3, false)]);
        assert_eq!(backlog.take(1).unwrap().steps.len(), 4);
        let last = backlog.take(1).unwrap();
        assert_eq!((last.run, last.steps.len()), (RunId(2), 8));
        assert_eq!(backlog.take(1), None);
    }
}
