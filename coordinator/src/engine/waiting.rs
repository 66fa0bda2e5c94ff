//! Steps that wait to be looked up, in turns: a run of a hundred thousand steps keeps nobody waiting who has one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use cullet_core::{RunId, StepId};

/// A step, and whether the cache is not to be asked for it.
type Step = (StepId, bool);

/// By tenant, and of each tenant by run. Whoever had a turn is last in line.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Tenants of whom something waits.
    tenants: VecDeque<Arc<str>>,
    /// Their runs of which something waits.
    runs: HashMap<Arc<str>, VecDeque<RunId>>,
    steps: HashMap<RunId, VecDeque<Step>>,
    len: usize,
}

impl Waiting {
    /// `tenant` is asked for where nothing of its run waits.
    pub(super) fn push(&mut self, step: Step, tenant: impl FnOnce() -> Arc<str>) {
        let run = step.0.run;
        self.len += 1;
        if let Some(steps) = self.steps.get_mut(&run) {
            steps.push_back(step);
            return;
        }
        self.steps.insert(run, VecDeque::from([step]));
        let tenant = tenant();
        let runs = self.runs.entry(Arc::clone(&tenant)).or_default();
        if runs.is_empty() {
            self.tenants.push_back(tenant);
        }
        runs.push_back(run);
    }

    /// At most so many of the run whose turn it is, in their order.
    pub(super) fn take(&mut self, most: usize) -> Option<(RunId, Vec<Step>)> {
        let tenant = self.tenants.pop_front()?;
        let runs = self.runs.get_mut(&tenant)?;
        let run = runs.pop_front()?;
        let steps = self.steps.get_mut(&run)?;
        let taken: Vec<Step> = steps.drain(..most.min(steps.len())).collect();
        if steps.is_empty() {
            self.steps.remove(&run);
        } else {
            runs.push_back(run);
        }
        if runs.is_empty() {
            self.runs.remove(&tenant);
        } else {
            self.tenants.push_back(tenant);
        }
        self.len -= taken.len();
        Some((run, taken))
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = StepId> {
        self.steps.values().flatten().map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_have_turns_and_so_have_the_runs_of_one() {
        let mut waiting = Waiting::default();
        let mut push = |run, step, tenant: &str| {
            waiting.push((StepId { run: RunId(run), step }, false), || tenant.into());
        };
        for step in 0..100 {
            push(1, step, "large");
        }
        push(2, 0, "large");
        push(3, 0, "small");
        push(3, 1, "small");
        assert_eq!((waiting.len(), waiting.iter().count()), (103, 103));
        let turns: Vec<(u128, usize)> =
            std::iter::from_fn(|| waiting.take(30)).map(|(run, steps)| (run.0, steps.len())).collect();
        assert_eq!(turns, [(1, 30), (3, 2), (2, 1), (1, 30), (1, 30), (1, 10)]);
        assert_eq!((waiting.len(), waiting.take(1).is_none()), (0, true));
    }
}
