//! Steps that wait to be looked up, in turns: a run of a hundred thousand steps keeps nobody waiting who has one, nor does a
//! client of a hundred thousand operations.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use cullet_core::{RunId, StepId};

/// A step, and whether the cache is not to be asked for it.
type Step = (StepId, bool);

/// Who has turns with a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Whose {
    pub(super) tenant: Arc<str>,
    /// Whose operation it is; none for a run of a pipeline.
    pub(super) client: Option<u64>,
}

/// Who has turns: a run of a pipeline, or a client with all its operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Flow {
    Run(RunId),
    Client(u64),
}

/// By tenant, of each tenant by run or client, of each client by run. Whoever had a turn is last in line.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Tenants of whom something waits.
    tenants: VecDeque<Arc<str>>,
    /// Who of theirs has something waiting.
    flows: HashMap<Arc<str>, VecDeque<Flow>>,
    /// Runs of clients of which something waits.
    operations: HashMap<(Arc<str>, u64), VecDeque<RunId>>,
    steps: HashMap<RunId, VecDeque<Step>>,
    len: usize,
}

impl Waiting {
    /// `whose` is asked for where nothing of its run waits.
    pub(super) fn push(&mut self, step: Step, whose: impl FnOnce() -> Whose) {
        let run = step.0.run;
        self.len += 1;
        if let Some(steps) = self.steps.get_mut(&run) {
            steps.push_back(step);
            return;
        }
        self.steps.insert(run, VecDeque::from([step]));
        let Whose { tenant, client } = whose();
        let Some(client) = client else { return self.line_up(tenant, Flow::Run(run)) };
        let runs = self.operations.entry((Arc::clone(&tenant), client)).or_default();
        runs.push_back(run);
        if runs.len() == 1 {
            self.line_up(tenant, Flow::Client(client));
        }
    }

    fn line_up(&mut self, tenant: Arc<str>, flow: Flow) {
        let flows = self.flows.entry(Arc::clone(&tenant)).or_default();
        if flows.is_empty() {
            self.tenants.push_back(tenant);
        }
        flows.push_back(flow);
    }

    /// At most so many of the run whose turn it is, in their order.
    pub(super) fn take(&mut self, most: usize) -> Option<(RunId, Vec<Step>)> {
        let tenant = self.tenants.pop_front()?;
        let flows = self.flows.get_mut(&tenant)?;
        let flow = flows.pop_front()?;
        if flows.is_empty() {
            self.flows.remove(&tenant);
        } else {
            self.tenants.push_back(Arc::clone(&tenant));
        }
        let run = match flow {
            Flow::Run(run) => run,
            Flow::Client(client) => *self.operations.get(&(Arc::clone(&tenant), client))?.front()?,
        };
        let steps = self.steps.get_mut(&run)?;
        let taken: Vec<Step> = steps.drain(..most.min(steps.len())).collect();
        self.len -= taken.len();
        let over = steps.is_empty();
        if over {
            self.steps.remove(&run);
        }
        if self.goes_on(&tenant, flow, over) {
            self.line_up(tenant, flow);
        }
        Some((run, taken))
    }

    /// Whether there is more of those whose turn it was; `over` where there is no more of the run.
    fn goes_on(&mut self, tenant: &Arc<str>, flow: Flow, over: bool) -> bool {
        let Flow::Client(client) = flow else { return !over };
        let name = (Arc::clone(tenant), client);
        let Some(runs) = self.operations.get_mut(&name) else { return false };
        if over {
            runs.pop_front();
        }
        if runs.is_empty() {
            self.operations.remove(&name);
            return false;
        }
        true
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
            let whose = || Whose { tenant: tenant.into(), client: None };
            waiting.push((StepId { run: RunId(run), step }, false), whose);
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

    #[test]
    fn clients_have_turns_with_all_their_operations() {
        let mut waiting = Waiting::default();
        let mut push = |run, client| {
            let whose = || Whose { tenant: "t".into(), client };
            waiting.push((StepId { run: RunId(run), step: 0 }, false), whose);
        };
        (1..=4).for_each(|run| push(run, Some(7)));
        push(10, None);
        push(20, Some(8));
        push(21, Some(8));
        let turns: Vec<u128> = std::iter::from_fn(|| waiting.take(30)).map(|(run, _)| run.0).collect();
        assert_eq!(turns, [1, 10, 20, 2, 21, 3, 4]);
        assert!(waiting.len() == 0 && waiting.operations.is_empty() && waiting.flows.is_empty());
    }
}
