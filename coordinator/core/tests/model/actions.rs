//! What can happen next.

use cullet_core::{LogCommand, Resolution, StepId};
use cullet_digest::DigestFunction;

use crate::cluster::{Cluster, Lease, Plant, RUN};
use crate::worker::{Heard, Key, Phase, Told, Went};

/// After everything else, and before a step fails that waits for a worker to come.
const LATE: u64 = 100_000;

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A lookup ends with a miss.
    Resolve(u32),
    /// A message reaches a worker; it may come once more.
    Tell { worker: usize, told: Told, again: bool },
    /// An attempt ends.
    Finish { worker: usize, key: Key, went: Went },
    /// A report reaches the leader; it may come once more.
    Report { worker: usize, key: Key, went: Went, again: bool },
    /// A connection breaks.
    Break(usize),
    /// A worker finds the leader.
    Connect(usize),
    /// A lease ends.
    Lose(usize),
    /// A worker's process ends, and another one begins.
    Crash(usize),
    /// A step has shunned the worker that failed it for long enough.
    Tick,
    /// Somebody else leads.
    TakeOver,
    /// Somebody cancels the run.
    Cancel,
}

impl Cluster {
    pub(crate) fn possible(&self, actions: &mut Vec<Action>) {
        let left = &self.left;
        actions.extend(self.resolving.iter().map(|step| Action::Resolve(*step)));
        for worker in 0..self.workers.len() {
            let connection = &self.connections[worker];
            for told in &connection.messages {
                actions.push(Action::Tell { worker, told: *told, again: false });
                if left.repeated > 0 {
                    actions.push(Action::Tell { worker, told: *told, again: true });
                }
            }
            for key in self.workers[worker].running() {
                actions.push(Action::Finish { worker, key, went: Went::Well });
                if left.failures > 0 {
                    actions.push(Action::Finish { worker, key, went: Went::Badly });
                }
            }
            if !connection.open {
                actions.push(Action::Connect(worker));
            } else if left.lost > 0 {
                actions.push(Action::Break(worker));
            }
            if left.lost_workers > 0 && self.known(worker).is_some() {
                actions.push(Action::Lose(worker));
            }
            if left.crashes > 0 {
                actions.push(Action::Crash(worker));
            }
        }
        for &(worker, key, went) in &self.reports {
            actions.push(Action::Report { worker, key, went, again: false });
            if left.repeated > 0 {
                actions.push(Action::Report { worker, key, went, again: true });
            }
        }
        if left.ticks > 0 && self.log.state.next_deadline().is_some_and(|due| due <= LATE) {
            actions.push(Action::Tick);
        }
        if left.takeovers > 0 {
            actions.push(Action::TakeOver);
        }
        if left.cancels > 0 {
            actions.push(Action::Cancel);
        }
    }

    pub(crate) fn act(&mut self, model: &Lease, action: Action) {
        match action {
            Action::Resolve(step) => {
                self.resolving.remove(&step);
                let id = StepId { run: RUN, step };
                let resolution = Resolution::miss(DigestFunction::Blake3.digest(&step.to_le_bytes()));
                self.commit(&LogCommand::Resolved { id, resolution, at: 1 });
            }
            Action::Tell { worker, told, again } => {
                self.left.repeated -= u8::from(again);
                if !again {
                    self.connections[worker].messages.remove(&told);
                }
                self.hear(model, worker, told);
            }
            Action::Finish { worker, key, went } => {
                self.left.failures -= u8::from(went == Went::Badly);
                self.workers[worker].table.insert(key.0, (key, Phase::Finished(went)));
                self.send(model, worker, key, went);
            }
            Action::Report { worker, key, went, again } => {
                self.left.repeated -= u8::from(again);
                if !again {
                    self.reports.remove(&(worker, key, went));
                }
                self.record(model, worker, key, went);
            }
            Action::Break(worker) => {
                self.left.lost -= 1;
                self.disconnect(worker);
            }
            Action::Connect(worker) => self.connect(worker),
            Action::Lose(worker) => {
                self.left.lost_workers -= 1;
                self.disconnect(worker);
                self.lose(worker);
            }
            Action::Crash(worker) => {
                self.left.crashes -= 1;
                self.disconnect(worker);
                self.workers[worker].crash();
            }
            Action::Tick => {
                self.left.ticks -= 1;
                self.commit(&LogCommand::Tick { at: LATE });
            }
            Action::TakeOver => {
                self.left.takeovers -= 1;
                self.take_over(model);
            }
            Action::Cancel => {
                self.left.cancels -= 1;
                self.commit(&LogCommand::Cancel { run: RUN, at: 1 });
            }
        }
    }

    fn hear(&mut self, model: &Lease, worker: usize, told: Told) {
        let mistakes = (model.plant == Some(Plant::StartTwice), model.plant == Some(Plant::ForgetNewer));
        match self.workers[worker].hear(told, mistakes) {
            Heard::Nothing => {}
            Heard::Begins(key) => *self.begun.entry(key).or_default() += 1,
            Heard::Reports(key, went) => self.send(model, worker, key, went),
        }
    }

    /// A worker says how an attempt went. Without a connection that waits for the next one.
    fn send(&mut self, model: &Lease, worker: usize, key: Key, went: Went) {
        if self.connections[worker].open {
            self.reports.insert((worker, key, went));
        }
        if model.plant == Some(Plant::ForgetReport) {
            self.workers[worker].table.remove(&key.0);
        }
    }
}
