//! Ready steps get workers.

use super::Transition;
use crate::StepPhase;
use crate::ending::Ending;
use crate::place::Demand;
use crate::schedule::{Assignment, schedule};

impl Transition<'_> {
    /// Starts whatever there is room for, and ends what no worker has room for at all.
    pub(super) fn assign(&mut self) {
        if self.state.ready.is_empty() {
            return;
        }
        let schedule = schedule(&self.state.ready, &self.state.workers);
        self.state.ready.reserve(schedule.reservation);
        for demand in schedule.passed {
            self.state.ready.pass(demand);
        }
        for assignment in &schedule.assignments {
            self.start(assignment);
        }
        for (step, demand) in schedule.too_large {
            self.endings.push_back((step.place.id, Ending::infra(too_large(demand))));
        }
    }

    fn start(&mut self, assignment: &Assignment) {
        let id = assignment.step.place.id;
        let at = self.at;
        self.state.ready.remove(assignment.demand, &assignment.step);
        self.state.ready.served(assignment.demand);
        self.state.workers.take(assignment.worker, id, assignment.demand);
        self.state.last_epoch += 1;
        let epoch = self.state.last_epoch;
        let Some(step) = self.step(id) else { return };
        step.phase = StepPhase::Running;
        step.attempt = step.attempt.saturating_add(1);
        step.epoch = epoch;
        step.worker = assignment.worker;
        step.started_at = at;
        let start = step.start(id);
        self.effects.extend(start);
    }
}

fn too_large(demand: Demand) -> String {
    format!(
        "no worker is large enough: it asks for {}.{:03} processors and {} bytes of memory",
        demand.cpu_millis / 1000,
        demand.cpu_millis % 1000,
        demand.memory_bytes
    )
}
