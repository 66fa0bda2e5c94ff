//! A step that a machine failed is tried on another one, if one has room in time.

use super::Transition;
use crate::place::{Demand, Group, Priority};
use crate::{StepId, StepPhase};

impl Transition<'_> {
    /// Has the next attempt of the step avoid the worker of this name. Not for a step that is ready: it stands in
    /// line with those that go where it goes.
    pub(super) fn shun(&mut self, id: StepId, worker: &str) {
        self.shun_nobody(id);
        if self.state.settings.shun_grace_ms == 0 {
            return;
        }
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        if let Some(shun) = self.state.workers.shunned.enter(worker, id, self.at) {
            run.shunned.insert(id.step, shun);
        }
    }

    /// The next attempt is made, or there is none. Not for a step that is ready either.
    pub(super) fn shun_nobody(&mut self, id: StepId) {
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        if let Some(shun) = run.shunned.remove(&id.step) {
            self.state.workers.shunned.leave(shun, id);
        }
    }

    /// Lets steps go anywhere that have shunned a worker for as long as they may: a machine that failed once is better
    /// than none.
    pub(super) fn end_shunning(&mut self) {
        while let Some((since, id)) = self.state.workers.shunned.oldest() {
            if self.state.settings.shunned_until(since) > self.at {
                return;
            }
            let run = self.state.runs.get(&id.run);
            let ready = run.filter(|run| run.steps[id.step as usize].phase == StepPhase::Ready);
            let line =
                ready.and_then(|run| Some((run.group(id.step)?, self.state.clients.priority(run, id.step))));
            if let Some((group, priority)) = line {
                self.go_anywhere(group, priority);
            }
            self.shun_nobody(id);
        }
    }

    /// Puts a ready step into the line of those that shun nobody. How long no worker could run it is still known.
    fn go_anywhere(&mut self, group: Group, priority: Priority) {
        let ready = &mut self.state.ready;
        let stuck = ready.stuck().get(&group.demand).copied();
        ready.remove(group, &priority);
        let group = Group { demand: Demand { shuns: None, ..group.demand }, ..group };
        if ready.insert(group, priority) {
            self.news.fresh.insert(group);
        }
        if let Some(stuck) = stuck {
            ready.stay_stuck(group.demand, stuck);
        }
    }
}
