//! Steps on their way to a worker: from waiting to resolving to ready.

use std::collections::BTreeSet;

use super::Transition;
use crate::ending::Ending;
use crate::flights::Work;
use crate::place::Place;
use crate::planted::{self, Bug};
use crate::{Effect, State, StepId, StepPhase};

impl Transition<'_> {
    /// Asks for the action of a step whose inputs are all known.
    pub(super) fn resolve(&mut self, id: StepId) {
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        let bypass_cache = run.bypasses_cache(id.step);
        run.steps[id.step as usize].phase = StepPhase::Resolving;
        self.effects.push(Effect::Resolve { id, bypass_cache });
    }

    /// Looks at a step's dependencies afresh: resolves it, lets it wait, or ends it if they will never come.
    pub(super) fn await_inputs(&mut self, id: StepId) {
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        let (pending, lost) = run.missing(id.step);
        let step = &mut run.steps[id.step as usize];
        step.stale = false;
        step.phase = StepPhase::Waiting;
        run.pending[id.step as usize] = pending;
        if let Some(producer) = lost {
            self.endings.push_back((id, Ending::skipped(run.needs_reason(producer))));
        } else if pending == 0 {
            self.resolve(id);
        }
    }

    /// Lets a step that has an action wait for a worker, or for an identical step. One that runs alone neither follows
    /// others nor leads them.
    pub(super) fn make_ready(&mut self, id: StepId) {
        let Some(run) = self.state.runs.get_mut(&id.run) else { return };
        let step = &run.steps[id.step as usize];
        let Some(work) = run.work(id.step) else { return };
        if step.stale {
            self.lead_on(id);
            return self.await_inputs(id);
        }
        if run.step_spec(id.step).runs_alone() || self.state.flights.board(work.clone(), run.place(id.step)) {
            self.line_up(id);
        } else {
            run.steps[id.step as usize].phase = StepPhase::WaitingForIdentical;
            self.overtake(id, &work);
        }
    }

    /// Lets a step wait for a worker.
    fn line_up(&mut self, id: StepId) {
        let State { runs, ready, clients, tenants, last_epoch, .. } = &mut *self.state;
        let Some(run) = runs.get_mut(&id.run) else { return };
        run.steps[id.step as usize].phase = StepPhase::Ready;
        self.readied.push(id);
        let Some(group) = run.group(id.step) else { return };
        clients.enter(run, *last_epoch);
        let priority = clients.priority(run, id.step);
        if !ready.has(group.tenant) {
            tenants.wake(group.tenant);
        }
        if ready.insert(group, priority) {
            self.news.fresh.insert(group);
        }
    }

    /// Lets a step lead that waits for an identical one of its tenant which has a lower priority and waits for a worker: it
    /// would wait for everything that its own priority goes before. What failed before keeps its lead, as what is known of
    /// it counts for all.
    ///
    /// Among equals, and between tenants, nobody knows whose place is better: that depends on what else they have.
    fn overtake(&mut self, id: StepId, work: &Work) {
        let State { runs, flights, .. } = &mut *self.state;
        let Some(leader) = flights.leader(work) else { return };
        let (Some(run), Some(other)) = (runs.get(&id.run), runs.get(&leader.run)) else { return };
        let ahead = &other.steps[leader.step as usize];
        let failed = ahead.failures > 0 || ahead.infra_failures > 0 || other.tolls.contains_key(&leader.step);
        if run.tenant != other.tenant
            || run.spec.priority <= other.spec.priority
            || ahead.phase != StepPhase::Ready
            || failed
        {
            return;
        }
        flights.hand_over(work, other.place(leader.step), &run.place(id.step));
        // The one before the other, so that what is known of a group is not forgotten if that is the same.
        self.line_up(id);
        self.vacate(leader);
        if let Some(leader) = self.step(leader) {
            leader.phase = StepPhase::WaitingForIdentical;
        }
    }

    /// If the step led identical ones without a result for them, the first of those takes over.
    pub(super) fn lead_on(&mut self, id: StepId) {
        let Some(work) = self.work(id) else { return };
        if self.state.flights.is_led_by(&work, id) {
            let followers = self.state.flights.disband(&work);
            self.promote(work, followers);
        }
    }

    /// Makes the first follower ready and puts the others behind it.
    pub(super) fn promote(&mut self, work: Work, mut followers: BTreeSet<Place>) {
        while let Some(next) = followers.pop_first() {
            // `make_ready` would find out too, and come back here: once for each follower on the stack.
            if self.step(next.id).is_some_and(|step| step.stale) {
                self.await_inputs(next.id);
                continue;
            }
            self.state.flights.form(work, next.id, followers);
            return self.make_ready(next.id);
        }
    }

    /// Takes a step out of the line it stands in or off the worker it runs on, for another phase.
    pub(super) fn vacate(&mut self, id: StepId) {
        if planted::is(Bug::LeakCapacity) && id.step % 3 == 2 {
            return;
        }
        let State { runs, ready, clients, flights, .. } = &mut *self.state;
        let Some(run) = runs.get(&id.run) else { return };
        let (step, Some(group)) = (&run.steps[id.step as usize], run.group(id.step)) else { return };
        match (step.phase, run.work(id.step)) {
            (StepPhase::Ready, _) => {
                ready.remove(group, &clients.priority(run, id.step));
                clients.leave(run);
            }
            (StepPhase::Running, _) => {
                let worker = step.worker;
                if let Some(counted) = self.state.workers.give_back(worker, id, group.demand) {
                    self.news.grown.insert(worker);
                    self.give_back(id.run, group.demand.cpu_millis, counted);
                }
            }
            (StepPhase::WaitingForIdentical, Some(work)) => {
                flights.leave(&work, &run.place(id.step));
            }
            _ => {}
        }
    }
}
