//! Steps whose actions are to be made and looked up.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cullet_core::{RunId, StepId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::waiting::Waiting;

/// As many as there are live steps, which the core bounds.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    steps: Mutex<Steps>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Steps {
    waiting: Waiting,
    /// Those that are being looked up: since when, and whether the cache is not to be asked.
    asked: HashMap<StepId, (Instant, bool)>,
    /// Those that nobody had asked for when that was looked at last.
    unasked: HashSet<StepId>,
}

/// How long a lookup may take. Whatever it waits for gives up long before; a step that nobody answers for would stand
/// still for as long as this coordinator leads.
pub(super) const OVERDUE: Duration = Duration::from_secs(300);

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
    /// `tenant` is asked for where nothing of its run waits.
    pub(super) fn push(&self, id: StepId, bypass_cache: bool, tenant: impl FnOnce() -> Arc<str>) {
        self.lock().waiting.push((id, bypass_cache), tenant);
        self.more.notify_one();
    }

    /// A step was looked up, or need not be any more.
    pub(super) fn answered(&self, id: StepId) {
        self.lock().asked.remove(&id);
    }

    /// Has those looked up again that nobody has answered for in time, and gives them. The core takes the first answer.
    pub(super) fn ask_again(&self) -> Vec<StepId> {
        let now = Instant::now();
        let mut steps = self.lock();
        let mut late: Vec<(StepId, bool)> = steps
            .asked
            .extract_if(|_, (since, _)| now.duration_since(*since) > OVERDUE)
            .map(|(id, (_, bypass))| (id, bypass))
            .collect();
        late.sort_unstable();
        drop(steps);
        self.push_all(late)
    }

    /// Given all steps whose actions are missing, asks for those that were not asked for now and the last time, and gives
    /// them: whoever applied that they are to be looked up did not say so.
    pub(super) fn ask_for_forgotten(&self, missing: &[(StepId, bool)]) -> Vec<StepId> {
        let mut steps = self.lock();
        let Steps { waiting, asked, unasked } = &mut *steps;
        let waits: HashSet<StepId> = waiting.iter().collect();
        let unknown = |id: &StepId| !waits.contains(id) && !asked.contains_key(id);
        let (forgotten, new): (Vec<_>, Vec<_>) =
            missing.iter().filter(|(id, _)| unknown(id)).partition(|(id, _)| unasked.contains(id));
        *unasked = new.into_iter().map(|(id, _)| id).collect();
        drop(steps);
        self.push_all(forgotten)
    }

    fn push_all(&self, again: Vec<(StepId, bool)>) -> Vec<StepId> {
        // Whose they were is not worth remembering: there are few, and they have waited long.
        again.iter().for_each(|(id, bypass_cache)| self.push(*id, *bypass_cache, || "".into()));
        again.into_iter().map(|(id, _)| id).collect()
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
        let Steps { waiting, asked, .. } = &mut *steps;
        let share = (waiting.len() / tasks.max(1)).clamp(1, MOST);
        let now = Instant::now();
        let (run, taken) = waiting.take(share)?;
        asked.extend(taken.iter().map(|(id, bypass)| (*id, (now, *bypass))));
        Some(Batch { run, steps: taken.into_iter().map(|(id, bypass)| (id.step, bypass)).collect() })
    }

    fn lock(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Arc<str> {
        "t".into()
    }

    #[test]
    fn a_batch_is_of_one_run_and_leaves_something_for_the_others() {
        let backlog = Backlog::default();
        let id = |run, step| StepId { run: RunId(run), step };
        (0..8).for_each(|step| backlog.push(id(1, step), step == 1, tenant));
        (0..8).for_each(|step| backlog.push(id(2, step), false, tenant));
        assert_eq!(backlog.take(4).unwrap().steps, [(0, false), (1, true), (2, false), (3, false)]);
        let other = backlog.take(1).unwrap();
        assert_eq!((other.run, other.steps.len()), (RunId(2), 8), "it is the other's turn");
        let last = backlog.take(1).unwrap();
        assert_eq!((last.run, last.steps.len()), (RunId(1), 4));
        assert_eq!(backlog.take(1), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_answers_for_is_looked_up_again() {
        let backlog = Backlog::default();
        let id = |step| StepId { run: RunId(1), step };
        (0..3).for_each(|step| backlog.push(id(step), step == 1, tenant));
        (0..3).for_each(|_| drop(backlog.take(100)));
        backlog.answered(id(0));
        assert!(backlog.ask_again().is_empty());
        tokio::time::advance(OVERDUE + Duration::from_secs(1)).await;
        assert_eq!(backlog.ask_again(), [id(1), id(2)]);
        assert_eq!(backlog.take(1).unwrap().steps, [(1, true), (2, false)]);
        assert!(backlog.ask_again().is_empty(), "they have their time again");
    }

    #[test]
    fn what_nobody_asks_for_is_noticed_at_the_second_look() {
        let backlog = Backlog::default();
        let id = |step| StepId { run: RunId(1), step };
        (0..2).for_each(|step| backlog.push(id(step), false, tenant));
        drop(backlog.take(100));
        let missing = [(id(0), false), (id(1), false), (id(2), true)];
        assert!(backlog.ask_for_forgotten(&missing).is_empty(), "it may be about to be asked for");
        assert_eq!(backlog.ask_for_forgotten(&missing), [id(2)]);
        assert!(backlog.ask_for_forgotten(&missing).is_empty());
        drop(backlog.take(100));
        assert_eq!(backlog.take(1).unwrap().steps, [(2, true)]);
    }
}
