//! Steps whose actions are to be made and looked up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cullet_core::{RunId, StepId};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::waiting::{Waiting, Whose};

/// As many as there are live steps, which the core bounds.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    steps: Mutex<Steps>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Steps {
    waiting: Waiting,
    /// Those that are being looked up, or wait to be again.
    asked: HashMap<StepId, Asked>,
    /// Since when those that the store did not answer for are waiting for it.
    troubled: BTreeMap<StepId, Instant>,
    /// Those that nobody had asked for when that was looked at last.
    unasked: HashSet<StepId>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    /// When to look it up again.
    again: Instant,
    /// Whether the cache is not to be asked.
    bypass: bool,
    /// Whether it is being looked up. Otherwise it waits for the store.
    now: bool,
}

/// What becomes of a step that the store did not answer for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// It is looked up again, and is the first of its run that is.
    First,
    /// It is looked up again.
    More,
    /// It has waited as long as any may.
    Over,
}

/// How long a step waits for a store that does not do what it is asked: runs outlast what is mended in an operator's coffee
/// break, and do not stand still for a day where nobody knows of it.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// Between two lookups of such a step. Each tries for about a minute by itself where the store is silent.
const PAUSE: Duration = Duration::from_secs(5);

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
    /// `whose` is asked for where nothing of its run waits.
    pub(super) fn push(&self, id: StepId, bypass_cache: bool, whose: impl FnOnce() -> Whose) {
        self.lock().waiting.push((id, bypass_cache), whose);
        self.more.notify_one();
    }

    /// A step was looked up, or need not be any more.
    pub(super) fn answered(&self, id: StepId) {
        let mut steps = self.lock();
        steps.asked.remove(&id);
        steps.troubled.remove(&id);
    }

    /// The store did not answer for a step: has it looked up again later, unless it has waited long enough.
    pub(super) fn ask_later(&self, id: StepId, bypass: bool) -> Patience {
        let now = Instant::now();
        let mut steps = self.lock();
        let of_run = StepId { step: 0, ..id }..=StepId { step: u32::MAX, ..id };
        let first = steps.troubled.range(of_run).next().is_none();
        let since = *steps.troubled.entry(id).or_insert(now);
        if now.duration_since(since) >= PATIENCE {
            return Patience::Over;
        }
        steps.asked.insert(id, Asked { again: now + PAUSE, bypass, now: false });
        if first { Patience::First } else { Patience::More }
    }

    /// Has those looked up again that nobody has answered for in time, and those that wait for the store, and gives the
    /// former. The core takes the first answer.
    pub(super) fn ask_again(&self) -> Vec<StepId> {
        let now = Instant::now();
        let mut steps = self.lock();
        let mut due: Vec<(StepId, Asked)> = steps.asked.extract_if(|_, asked| now > asked.again).collect();
        due.sort_unstable_by_key(|(id, _)| *id);
        drop(steps);
        self.push_all(due.iter().map(|(id, asked)| (*id, asked.bypass)));
        due.iter().filter(|(_, asked)| asked.now).map(|(id, _)| *id).collect()
    }

    /// Given all steps whose actions are missing, asks for those that were not asked for now and the last time, and gives
    /// them: whoever applied that they are to be looked up did not say so.
    pub(super) fn ask_for_forgotten(&self, missing: &[(StepId, bool)]) -> Vec<StepId> {
        let mut steps = self.lock();
        let Steps { waiting, asked, unasked, .. } = &mut *steps;
        let waits: HashSet<StepId> = waiting.iter().collect();
        let unknown = |id: &StepId| !waits.contains(id) && !asked.contains_key(id);
        let (forgotten, new): (Vec<_>, Vec<_>) =
            missing.iter().filter(|(id, _)| unknown(id)).partition(|(id, _)| unasked.contains(id));
        *unasked = new.into_iter().map(|(id, _)| id).collect();
        drop(steps);
        self.push_all(forgotten.iter().copied());
        forgotten.into_iter().map(|(id, _)| id).collect()
    }

    fn push_all(&self, again: impl Iterator<Item = (StepId, bool)>) {
        // Whose they were is not worth remembering: there are few, and they have waited long.
        again.for_each(|(id, bypass_cache)| self.push(id, bypass_cache, Whose::default));
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
        let again = Instant::now() + OVERDUE;
        let (run, taken) = waiting.take(share)?;
        asked.extend(taken.iter().map(|(id, bypass)| (*id, Asked { again, bypass: *bypass, now: true })));
        Some(Batch { run, steps: taken.into_iter().map(|(id, bypass)| (id.step, bypass)).collect() })
    }

    fn lock(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Whose {
        Whose { tenant: "t".into(), client: None }
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

    #[tokio::test(start_paused = true)]
    async fn what_the_store_did_not_answer_for_is_looked_up_again_for_a_while() {
        let backlog = Backlog::default();
        let id = |step| StepId { run: RunId(1), step };
        (0..2).for_each(|step| backlog.push(id(step), true, tenant));
        drop(backlog.take(1));
        assert_eq!(backlog.ask_later(id(0), true), Patience::First);
        assert_eq!(backlog.ask_later(id(1), true), Patience::More, "a person is told of each run once");
        backlog.answered(id(1));
        let began = Instant::now();
        let mut asked = 0;
        loop {
            tokio::time::advance(PAUSE + Duration::from_secs(1)).await;
            assert!(backlog.ask_for_forgotten(&[(id(0), true)]).is_empty(), "it waits, and is not forgotten");
            assert!(backlog.ask_again().is_empty(), "nobody failed to answer");
            assert_eq!(backlog.take(1).unwrap().steps, [(0, true)]);
            asked += 1;
            match backlog.ask_later(id(0), true) {
                Patience::Over => break,
                patience => assert_eq!(patience, Patience::More),
            }
        }
        assert_eq!((asked, began.elapsed()), (100, PATIENCE));
        backlog.answered(id(0));
        assert_eq!(backlog.ask_later(id(0), true), Patience::First, "another time it has all of it again");
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
