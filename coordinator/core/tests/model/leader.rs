//! Whoever leads: commits commands, performs effects, and compares notes with workers that connect.

use cullet_core::{AttemptOutcome, Effect, LogCommand, StepId, StepPhase, StepView, WorkerId, WorkerSpec};

use crate::cluster::{Cluster, Connection, Lease, Plant, RUN};
use crate::worker::{Key, Told, Went};

fn name(worker: usize) -> String {
    format!("w{worker}")
}

impl Cluster {
    /// Commits a command and performs its effects.
    pub(crate) fn commit(&mut self, command: &LogCommand) {
        let effects = self.log.commit(command);
        for effect in &effects {
            if let Effect::StepFinished { id } = effect {
                *self.ended.entry(id.step).or_default() += 1;
            }
        }
        self.perform(&effects);
    }

    fn perform(&mut self, effects: &[Effect]) {
        for effect in effects {
            match *effect {
                Effect::Resolve { id, .. } => drop(self.resolving.insert(id.step)),
                Effect::Start { id, attempt, epoch, worker, .. } => {
                    self.tell(worker, Told::Start((id.step, attempt, epoch)));
                }
                Effect::Stop { id, attempt, epoch, worker } => {
                    self.tell(worker, Told::Stop((id.step, attempt, epoch)));
                }
                _ => {}
            }
        }
    }

    /// One that is not connected learns it when it comes back.
    fn tell(&mut self, id: WorkerId, told: Told) {
        let worker = (0..self.workers.len()).find(|worker| self.known(*worker) == Some(id));
        if let Some(worker) = worker.filter(|worker| self.connections[*worker].open) {
            self.connections[worker].messages.insert(told);
        }
    }

    /// The number that a worker has now.
    pub(crate) fn known(&self, worker: usize) -> Option<WorkerId> {
        self.log.state.worker_named(&name(worker)).map(|view| view.id)
    }

    pub(crate) fn step(&self, step: u32) -> Option<StepView<'_>> {
        self.log.state.run(RUN)?.step(step)
    }

    pub(crate) fn disconnect(&mut self, worker: usize) {
        self.connections[worker] = Connection::default();
    }

    /// A worker says who it is, what it runs and what it finished.
    pub(crate) fn connect(&mut self, worker: usize) {
        self.connections[worker] = Connection { open: true, ..Connection::default() };
        let spec = WorkerSpec {
            name: name(worker).into(),
            incarnation: self.workers[worker].incarnation,
            cpu_millis: 1000,
            memory_bytes: 1,
            ..WorkerSpec::default()
        };
        let known = self.log.state.worker_named(&spec.name).is_some_and(|known| *known.spec == spec);
        if !known {
            self.commit(&LogCommand::WorkerJoined { spec, at: 1 });
        }
        let Some(id) = self.known(worker) else { return };
        let wanted = |id: StepId| {
            let view = self.step(id.step)?;
            Some((
                (id.step, view.attempt, view.epoch),
                view.phase == StepPhase::Running && self.is_stopping(id),
            ))
        };
        let wanted: Vec<(Key, bool)> = self.log.state.running_on(id).filter_map(wanted).collect();
        let running: Vec<Key> = self.workers[worker].running().collect();
        let reports: Vec<(Key, Went)> = self.workers[worker].reports().collect();
        let messages = &mut self.connections[worker].messages;
        for key in &running {
            if wanted.iter().all(|(wanted, stopping)| wanted != key || *stopping) {
                messages.insert(Told::Stop(*key));
            }
        }
        for (key, stopping) in wanted {
            let knows = running.contains(&key) || reports.iter().any(|(reported, _)| *reported == key);
            if !knows {
                messages.insert(if stopping { Told::Stop(key) } else { Told::Start(key) });
            }
        }
        self.reports.extend(reports.into_iter().map(|(key, went)| (worker, key, went)));
    }

    fn is_stopping(&self, id: StepId) -> bool {
        self.log
            .state
            .outstanding()
            .iter()
            .any(|effect| matches!(effect, Effect::Stop { id: stop, .. } if *stop == id))
    }

    pub(crate) fn lose(&mut self, worker: usize) {
        let Some(id) = self.known(worker) else { return };
        self.commit(&LogCommand::WorkerLeft { worker: id, reason: "silence".into(), at: 1 });
    }

    /// Records a report, and lets the worker forget it.
    pub(crate) fn record(&mut self, model: &Lease, worker: usize, key: Key, went: Went) {
        let (step, mut attempt, mut epoch) = key;
        let current = self.step(step).is_some_and(|view| {
            view.phase == StepPhase::Running && (view.attempt, view.epoch) == (attempt, epoch)
        });
        if let Some(view) = self.step(step).filter(|_| model.plant == Some(Plant::IgnoreEpoch)) {
            (attempt, epoch) = (view.attempt, view.epoch);
        }
        let outcome = match went {
            Went::Well => AttemptOutcome::Succeeded { outputs: Box::default() },
            Went::Badly => AttemptOutcome::Infra { reason: "no space".into() },
            Went::Stopped => AttemptOutcome::Cancelled,
        };
        let id = StepId { run: RUN, step };
        let refused = self.log.state.refused();
        let (duration_ms, detail, at) = (1, None, 1);
        self.commit(&LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms, detail, at });
        self.unfenced |= !current && self.log.state.refused() == refused;
        if model.plant == Some(Plant::CountTwice) && !current {
            *self.ended.entry(step).or_default() += 1;
        }
        if self.connections[worker].open {
            self.connections[worker].messages.insert(Told::Acknowledged(key));
        }
    }

    /// Whoever led forgets everything; the next one knows what is in the log.
    pub(crate) fn take_over(&mut self, model: &Lease) {
        self.resolving.clear();
        (0..self.workers.len()).for_each(|worker| self.disconnect(worker));
        if model.plant != Some(Plant::ForgetOutstanding) {
            let outstanding = self.log.state.outstanding();
            self.perform(&outstanding);
        }
    }
}
