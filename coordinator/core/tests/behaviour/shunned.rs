//! Who failed a step is not given it again for a while, as long as another worker could ever run it. Kept apart from the
//! core, which has its own way to know.

use std::collections::BTreeMap;

use cullet_core::{
    AttemptOutcome, Effect, LogCommand, State, StepId, StepPhase, TimeMs, WorkerId, WorkerView,
};

use crate::invariants::able;

/// Of steps that are to be tried again because a machine failed them, the name of that machine and when that was. There
/// are fewer machines here than the core shuns at once.
#[derive(Default)]
pub(crate) struct Machines {
    failed: BTreeMap<StepId, (Box<str>, TimeMs)>,
    now: TimeMs,
    grace_ms: u64,
}

impl Machines {
    /// When a command is applied. A machine is avoided for so long, and no longer when time passes.
    pub(crate) fn note_time(&mut self, before: &State, command: &LogCommand) {
        self.now = before.latest().max(command.at().unwrap_or(0));
        self.grace_ms = before.settings().shun_grace_ms;
        if matches!(command, LogCommand::Tick { .. }) {
            self.failed.retain(|_, (_, since)| *since + self.grace_ms > self.now);
        }
    }

    /// Whether the step goes to other machines than others do.
    pub(crate) fn are_avoided_by(&self, id: StepId) -> bool {
        self.failed.contains_key(&id)
    }

    fn avoid(&mut self, id: StepId, name: Box<str>) {
        self.failed.remove(&id);
        if self.grace_ms > 0 {
            self.failed.insert(id, (name, self.now));
        }
    }

    /// What a command says of machines, before it is applied.
    pub(crate) fn note_failures(&mut self, before: &State, command: &LogCommand) {
        match command {
            LogCommand::AttemptFinished { id, attempt, epoch, outcome, .. } => {
                let run = before.run(id.run);
                let step = run.and_then(|run| run.step(id.step)).filter(|step| {
                    (step.phase, step.attempt, step.epoch) == (StepPhase::Running, *attempt, *epoch)
                });
                let (Some(run), Some(step)) = (run, step) else { return };
                let declared = usize::from(run.spec().steps[id.step as usize].outputs);
                let by_machine = match outcome {
                    AttemptOutcome::Infra { .. } | AttemptOutcome::Cancelled => true,
                    AttemptOutcome::Succeeded { outputs } => outputs.len() != declared,
                    _ => false,
                };
                if by_machine && let Some(worker) = step.worker.and_then(|worker| before.worker(worker)) {
                    self.avoid(*id, worker.spec.name.clone());
                }
            }
            LogCommand::WorkerLeft { worker, .. } => self.lose(before, *worker),
            LogCommand::WorkerJoined { spec, .. } => {
                let known = before.worker_named(&spec.name);
                if let Some(other) = known.filter(|known| known.spec.incarnation != spec.incarnation) {
                    self.lose(before, other.id);
                }
            }
            _ => {}
        }
    }

    fn lose(&mut self, before: &State, worker: WorkerId) {
        let Some(lost) = before.worker(worker) else { return };
        for id in before.running_on(worker) {
            self.avoid(id, lost.spec.name.clone());
        }
    }

    /// After a command.
    pub(crate) fn note_starts(&mut self, state: &State, effects: &[Effect]) {
        for effect in effects {
            let Effect::Start { id, worker, .. } = effect else { continue };
            let worker = state.worker(*worker).expect("a worker");
            assert!(!self.shun(state, *id, &worker), "{id:?} was tried on {} again", worker.spec.name);
            self.failed.remove(id);
        }
        let waits = |id: &StepId| state.run(id.run)?.step(id.step)?.status().is_none().then_some(());
        self.failed.retain(|id, _| waits(id).is_some());
    }

    /// Whether the step must not go to this worker now.
    pub(crate) fn shun(&self, state: &State, id: StepId, worker: &WorkerView<'_>) -> bool {
        let Some(run) = state.run(id.run) else { return false };
        let mut others = state.workers().filter(|other| other.id != worker.id);
        self.failed.get(&id).is_some_and(|(failed, _)| *failed == worker.spec.name)
            && others.any(|other| able(run, id.step, &other))
    }
}
