//! Ready steps get workers.

use super::Transition;
use super::unplaceable::unplaceable;
use crate::ending::Ending;
use crate::schedule::{Assignment, News, Round};
use crate::{State, StepPhase};

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
        let id = assignment.step.place.id;
        let (at, group) = (self.at, assignment.group);
        self.state.ready.remove(group, &assignment.step);
        if group.demand.shuns.is_some() {
            self.shun_nobody(id);
        }
        self.state.ready.served(group);
        self.state.workers.take(assignment.worker, id, group.demand);
        self.state.tenants.take(group.tenant, group.demand.cpu_millis);
        self.state.last_epoch += 1;
        let epoch = self.state.last_epoch;
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

    /// Looks which demands no worker could meet. Without any worker nothing is stuck: one will come.
    fn note_stuck(&mut self, news: &News) {
        let State { ready, workers, .. } = &mut *self.state;
        let fresh = news.fresh.iter().filter(|group| ready.head(**group).is_some());
        let demands = if news.workers { ready.demands() } else { fresh.map(|group| group.demand).collect() };
        for demand in demands {
            let stuck = workers.any() && workers.roomiest_able(demand).is_none();
            ready.set_stuck(demand, stuck, self.at);
        }
    }

    fn end_stuck(&mut self) {
        let grace = self.state.settings.placement_grace_ms;
        if !self.ticks && grace > 0 {
            return;
        }
        let stuck = self.state.ready.stuck().iter();
        let over = stuck.filter(|(_, since)| since.saturating_add(grace) <= self.at);
        let over: Vec<_> = over.map(|(demand, _)| *demand).collect();
        for demand in over {
            let labels = self.state.labels.labels(demand.labels);
            let reason = unplaceable(demand, labels, &self.state.workers);
            for step in self.state.ready.steps(demand) {
                self.endings.push_back((step.place.id, Ending::infra(reason.clone())));
            }
        }
    }
}
