//! Ready steps get workers.

use std::collections::BTreeSet;

use super::Transition;
use super::unplaceable::unplaceable;
use crate::ending::Ending;
use crate::place::Demand;
use crate::ready::{Lack, Reservation, Stuck};
use crate::schedule::{Assignment, News, Round};
use crate::{RunId, State, StepId, StepPhase};

impl Transition<'_> {
    /// Starts whatever there is room for, and ends what no worker could run for too long.
    pub(super) fn assign(&mut self) {
        if self.state.ready.is_empty() {
            self.news = News::default();
            self.kept = None;
            return;
        }
        self.release_kept();
        let mut news = std::mem::take(&mut self.news);
        let mut round = Round::new(self.state, &mut news);
        while let Some(assignment) = round.next(self.state) {
            for group in round.passed(self.state, &assignment) {
                self.state.ready.pass(group);
            }
            let kept = self.state.ready.reservation();
            self.start(&assignment);
            if let (Some(kept), None) = (kept, self.state.ready.reservation()) {
                round.release(kept.worker);
            }
            // An operation may have a place beside it now.
            let is_operation = |demand: Demand| demand.operation;
            if !assignment.group.demand.operation && self.state.ready.demands().any(is_operation) {
                round.release(assignment.worker);
            }
        }
        self.kept = self.state.ready.reservation().map(|reservation| reservation.worker);
        self.note_stuck(&news);
        self.end_stuck();
    }

    /// A worker that was kept free and is not any more has room for others.
    fn release_kept(&mut self) {
        let now = self.state.ready.reservation().map(|reservation| reservation.worker);
        if let Some(worker) = self.kept.filter(|kept| Some(*kept) != now) {
            self.news.grown.insert(worker);
        }
    }

    fn start(&mut self, assignment: &Assignment) {
        let id = assignment.step.id();
        let (at, group) = (self.at, assignment.group);
        self.state.ready.remove(group, &assignment.step);
        if group.demand.shuns.is_some() {
            self.shun_nobody(id);
        }
        self.state.ready.served(group);
        let is_kept = |kept: &Reservation| kept.worker == assignment.worker && kept.group != group;
        let is_kept = self.state.ready.reservation().as_ref().is_some_and(is_kept);
        let counted = self.state.workers.take(assignment.worker, id, group.demand, is_kept);
        self.state.last_epoch += 1;
        let epoch = self.state.last_epoch;
        self.take(id.run, group.demand.cpu_millis, counted);
        let Some(step) = self.step(id) else { return };
        step.phase = StepPhase::Running;
        step.attempt = step.attempt.saturating_add(1);
        step.epoch = epoch;
        step.worker = assignment.worker;
        step.started_at = at;
        let (start, attempt) = (step.start(id), step.attempt);
        self.effects.extend(start);
        self.write_start(id, attempt, assignment.worker);
    }

    /// A step of the run takes so many thousandths of a processor from now on, and counts so much: others are next.
    fn take(&mut self, run: RunId, cpu_millis: u32, counted: u64) {
        let State { runs, ready, clients, tenants, last_epoch, .. } = &mut *self.state;
        let Some(run) = runs.get_mut(&run) else { return };
        let (Some(tenant), before) = (run.tenant, clients.turn(run)) else { return };
        clients.take(run, counted, *last_epoch);
        run.used += counted;
        run.last_start = *last_epoch;
        ready.turn(tenant, &before, clients.turn(run));
        tenants.take(tenant, cpu_millis, counted, *last_epoch, self.at);
    }

    /// It does not any more.
    pub(super) fn give_back(&mut self, run: RunId, cpu_millis: u32, counted: u64) {
        let State { runs, ready, clients, tenants, .. } = &mut *self.state;
        let Some(run) = runs.get_mut(&run) else { return };
        let (Some(tenant), before) = (run.tenant, clients.turn(run)) else { return };
        clients.give_back(run, counted);
        run.used -= counted;
        ready.turn(tenant, &before, clients.turn(run));
        clients.leave(run);
        tenants.give_back(tenant, cpu_millis, counted, self.at);
    }

    /// Looks which demands no worker could meet.
    fn note_stuck(&mut self, news: &News) {
        let State { ready, workers, .. } = &mut *self.state;
        let fresh = news.fresh.iter().filter(|group| ready.head(**group).is_some());
        let demands: BTreeSet<_> =
            if news.workers { ready.demands().collect() } else { fresh.map(|group| group.demand).collect() };
        for demand in demands {
            let lack = if workers.any() { Lack::AbleWorker } else { Lack::AnyWorker };
            let lack = workers.roomiest_able(demand).is_none().then_some(lack);
            ready.set_stuck(demand, lack, self.at);
        }
    }

    fn end_stuck(&mut self) {
        let State { settings, ready, .. } = &*self.state;
        let at_once = |lack| settings.grace_ms(lack) == 0;
        if !self.ticks && !at_once(Lack::AnyWorker) && !at_once(Lack::AbleWorker) {
            return;
        }
        let due = |stuck: Stuck| settings.deadline(stuck) <= self.at && (self.ticks || at_once(stuck.lack));
        let over = ready.stuck().iter().filter(|(_, stuck)| due(**stuck));
        let over: Vec<_> = over.map(|(demand, _)| *demand).collect();
        for demand in over {
            let labels = self.state.labels.labels(demand.labels);
            let ending = Ending::infra(unplaceable(demand, labels, &self.state.workers));
            for step in self.state.ready.steps(demand) {
                self.end_alike(step, demand, &ending);
            }
        }
    }

    /// Ends a step and those that wait for it and ask for the same. One after the other they would have a grace each.
    fn end_alike(&mut self, id: StepId, demand: Demand, ending: &Ending) {
        self.endings.push_back((id, ending.clone()));
        let Some(work) = self.work(id) else { return };
        let State { flights, runs, .. } = &*self.state;
        let alike = |id: &StepId| {
            let run = runs.get(&id.run).filter(|run| !run.steps[id.step as usize].stale);
            run.is_some_and(|run| Demand { shuns: demand.shuns, ..run.demand(id.step) } == demand)
        };
        let followers = flights.followers(&work, id).filter(alike);
        self.endings.extend(followers.map(|id| (id, ending.clone())));
    }
}
