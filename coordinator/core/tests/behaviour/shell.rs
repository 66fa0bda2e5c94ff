//! A simulated shell: owes an answer to every effect and gives it when, and as badly as, it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;

use cullet_core::spec::{InputSource, RunSpec};
use cullet_core::{
    AttemptId, AttemptOutcome, Effect, Epoch, LogCommand, Note, Resolution, RunId, State, StepId, StepPhase,
    TimeMs, WorkerId, WorkerSpec,
};
use cullet_digest::{Digest, TreeRef};

use crate::owed::{Owed, labels, settings};
use crate::steps::{digest, tree};

/// What happens next.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Submit(u8),
    Answer {
        pick: u8,
        how: u8,
    },
    Trouble {
        pick: u8,
        how: u8,
    },
    Lose {
        pick: u8,
        which: u8,
    },
    Join {
        worker: u8,
        cpus: u8,
        incarnation: u8,
    },
    Drain(u8),
    Leave(u8),
    Kill,
    /// Another shell performs what nobody has answered, and knows nothing else.
    TakeOver,
    Note(u8),
    Tick,
    Configure(u8),
    Cancel(u8),
    Repeat(u16),
    Forge {
        pick: u8,
        how: u8,
    },
    Forget(u8),
}

pub(crate) struct Shell {
    pub(crate) state: State,
    pub(crate) owed: Vec<Owed>,
    pub(crate) log: Vec<(LogCommand, Vec<Effect>)>,
    specs: Vec<Arc<RunSpec>>,
    cache: BTreeMap<Digest, Box<[TreeRef]>>,
    now: TimeMs,
}

impl Shell {
    pub(crate) fn new(specs: Vec<RunSpec>) -> Self {
        Self {
            state: State::default(),
            owed: Vec::new(),
            log: Vec::new(),
            specs: specs.into_iter().map(Arc::new).collect(),
            cache: BTreeMap::new(),
            now: 0,
        }
    }

    pub(crate) fn join(&self, worker: u8, cpus: u8, incarnation: u8) -> LogCommand {
        let spec = WorkerSpec {
            name: format!("w{worker}").into(),
            incarnation: u64::from(incarnation),
            cpu_millis: u32::from(cpus) * 500,
            memory_bytes: u64::from(cpus) << 20,
            labels: labels(if worker.is_multiple_of(3) { "1" } else { "" }),
            ..WorkerSpec::default()
        };
        LogCommand::WorkerJoined { spec, at: self.now }
    }

    /// The worker under the step that was started most often.
    fn most_tried(&self) -> Option<WorkerId> {
        let steps = self.state.runs().flat_map(|(_, run)| run.steps());
        let running = steps.filter(|step| step.phase == StepPhase::Running);
        running.max_by_key(|step| step.attempt)?.worker
    }

    /// The number of a worker; one that nobody has if it is not there.
    fn worker(&self, worker: u8) -> WorkerId {
        self.state.worker_named(&format!("w{worker}")).map_or(WorkerId(u64::MAX), |worker| worker.id)
    }

    /// The command that an event leads to, unless there is nothing it could be about.
    pub(crate) fn command(&mut self, event: &Event) -> Option<LogCommand> {
        self.now += 10;
        let at = self.now;
        Some(match *event {
            Event::Submit(which) => {
                let which = usize::from(which) % self.specs.len();
                LogCommand::Submit { run: RunId(which as u128), spec: Arc::clone(&self.specs[which]), at }
            }
            Event::Answer { pick, how } => {
                let owed = self.take(pick)?;
                self.answer(owed, how)
            }
            Event::Trouble { pick, how } => {
                let owed = self.take(pick)?;
                self.trouble(owed, how)
            }
            Event::Lose { pick, which } => {
                let owed = self.take(pick)?;
                self.lose(owed, which)
            }
            Event::Join { worker, cpus, incarnation } => self.join(worker, cpus, incarnation),
            Event::Leave(worker) => {
                LogCommand::WorkerLeft { worker: self.worker(worker), reason: "silence".into(), at }
            }
            Event::Configure(how) => LogCommand::Configure { settings: Box::new(settings(how)), at },
            Event::Note(which) => {
                let (run, step) = (self.run(which), Some(u32::from(which) % 8));
                LogCommand::Noted { run, step, note: Note::Text("so it is".into()), at }
            }
            Event::TakeOver => {
                self.owed = self.state.outstanding().iter().filter_map(Owed::by).collect();
                return None;
            }
            Event::Tick => LogCommand::Tick { at },
            Event::Kill => {
                LogCommand::WorkerLeft { worker: self.most_tried()?, reason: "silence".into(), at }
            }
            Event::Drain(worker) => LogCommand::WorkerDraining { worker: self.worker(worker), at },
            Event::Cancel(which) => LogCommand::Cancel { run: self.run(which), at },
            Event::Repeat(which) => self.log.get(usize::from(which) % self.log.len().max(1))?.0.clone(),
            Event::Forge { pick, how } => self.forge(pick, how)?,
            Event::Forget(which) => LogCommand::Forget { run: self.run(which) },
        })
    }

    /// The next answer when nothing goes wrong any more.
    pub(crate) fn kind_answer(&mut self) -> Option<LogCommand> {
        let owed = self.take(0)?;
        Some(self.answer(owed, 1))
    }

    /// Time passes until something happens by itself.
    pub(crate) fn tick_when_due(&mut self) -> Option<LogCommand> {
        let at = self.state.next_deadline()?;
        self.now = self.now.max(at);
        Some(LogCommand::Tick { at: self.now })
    }

    /// Applies a command and notes what is owed for its effects.
    pub(crate) fn apply(&mut self, command: LogCommand) -> Vec<Effect> {
        let effects = self.state.apply(&command);
        for effect in &effects {
            match *effect {
                Effect::Stop { id, attempt, .. } => self.stop(id, attempt),
                _ => self.owed.extend(Owed::by(effect)),
            }
        }
        self.log.push((command, effects.clone()));
        effects
    }

    fn stop(&mut self, stop: StepId, number: AttemptId) {
        let told = self.owed.iter_mut().find_map(|owed| match owed {
            Owed::Attempt { id, attempt, stopped, .. } if (*id, *attempt) == (stop, number) => Some(stopped),
            _ => None,
        });
        *told.expect("only what runs is told to stop") = true;
    }

    fn run(&self, which: u8) -> RunId {
        RunId(u128::from(which) % self.specs.len() as u128)
    }

    fn take(&mut self, pick: u8) -> Option<Owed> {
        (!self.owed.is_empty()).then(|| self.owed.remove(usize::from(pick) % self.owed.len()))
    }

    fn answer(&mut self, owed: Owed, how: u8) -> LogCommand {
        let at = self.now;
        match owed {
            Owed::Resolve { id, bypass_cache } => {
                let resolution = self.look_up(id, bypass_cache, how);
                LogCommand::Resolved { id, resolution, at }
            }
            Owed::Attempt { id, attempt, epoch, stopped: true, .. } if how.is_multiple_of(2) => {
                LogCommand::AttemptFinished {
                    id,
                    attempt,
                    epoch,
                    outcome: AttemptOutcome::Cancelled,
                    duration_ms: 5,
                    detail: None,
                    at,
                }
            }
            Owed::Attempt { id, attempt, epoch, .. } => {
                let outputs = self.produce(id, epoch, how);
                let outcome = AttemptOutcome::Succeeded { outputs };
                LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms: 5, detail: None, at }
            }
            Owed::Deliver { run } => LogCommand::Delivered { run, lost: Vec::new(), at },
        }
    }

    fn look_up(&self, id: StepId, bypass_cache: bool, how: u8) -> Resolution {
        let Some(action) = self.action(id) else {
            return Resolution::Impossible { reason: "late".into() };
        };
        match self.cache.get(&action) {
            Some(outputs) if !bypass_cache && !how.is_multiple_of(4) => {
                Resolution::Hit { action, outputs: outputs.clone(), saved_ms: 5 }
            }
            // What a worker holds matters to it alone, so any will do.
            _ => {
                let near =
                    self.state.workers().filter(|worker| (worker.id.0 + u64::from(how)).is_multiple_of(3));
                let near = near.map(|worker| (worker.id, u64::from(how) << 16)).collect();
                Resolution::Miss { action, near }
            }
        }
    }

    /// The key of what the state says the step is made of. For a step that is to be resolved, it is known.
    fn action(&self, id: StepId) -> Option<Digest> {
        let run = self.state.run(id.run)?;
        let inputs: Vec<_> = run.resolved_inputs(id.step)?.collect();
        Some(digest(&format!("{:?} {inputs:?}", run.spec().steps[id.step as usize].command)))
    }

    /// Now and then a step gives other outputs than the time before.
    fn produce(&mut self, id: StepId, epoch: Epoch, how: u8) -> Box<[TreeRef]> {
        let action = self.state.run(id.run).and_then(|run| run.step(id.step)?.action);
        let salt = if how.is_multiple_of(5) { epoch } else { 0 };
        let outputs: Box<[TreeRef]> = [tree(&format!("{action:?} {salt}"))].into();
        self.cache.extend(action.map(|action| (action, outputs.clone())));
        outputs
    }

    fn trouble(&mut self, owed: Owed, how: u8) -> LogCommand {
        let at = self.now;
        match owed {
            Owed::Resolve { .. } if !how.is_multiple_of(8) => self.answer(owed, how),
            Owed::Resolve { id, .. } => {
                let reason = "inputs meet".into();
                LogCommand::Resolved { id, resolution: Resolution::Impossible { reason }, at }
            }
            Owed::Attempt { id, attempt, epoch, .. } => {
                let outcome = match how % 5 {
                    0 => AttemptOutcome::Failed { exit_code: 1 },
                    1 => AttemptOutcome::TimedOut,
                    2 => AttemptOutcome::Cancelled,
                    3 => AttemptOutcome::Succeeded { outputs: Box::default() },
                    _ => AttemptOutcome::Infra { reason: "no space".into() },
                };
                LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms: 5, detail: None, at }
            }
            Owed::Deliver { .. } if !how.is_multiple_of(4) => self.lose(owed, how),
            Owed::Deliver { run } => LogCommand::Delivered { run, lost: vec![0, u32::from(how) % 12], at },
        }
    }

    fn lose(&mut self, owed: Owed, which: u8) -> LogCommand {
        let at = self.now;
        let inputs = |id: StepId| {
            let Some(run) = self.state.run(id.run) else { return Box::default() };
            let lost = (0_u16..).zip(&run.spec().steps[id.step as usize].inputs).filter(|(i, input)| {
                let made = matches!(input.source, InputSource::Output { .. });
                which >> (i % 8) & 1 == 1 && (made || which.is_multiple_of(8))
            });
            lost.map(|(i, _)| i).collect::<Box<[u16]>>()
        };
        match owed {
            Owed::Resolve { id, .. } | Owed::Attempt { id, .. }
                if inputs(id).is_empty() && !which.is_multiple_of(16) =>
            {
                self.answer(owed, which)
            }
            Owed::Resolve { id, .. } => {
                LogCommand::Resolved { id, resolution: Resolution::InputLost { inputs: inputs(id) }, at }
            }
            Owed::Attempt { id, attempt, epoch, .. } => {
                let outcome = AttemptOutcome::InputLost { inputs: inputs(id) };
                LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms: 5, detail: None, at }
            }
            Owed::Deliver { run } => {
                let wanted = self.state.run(run).map(|run| run.spec().deliver.to_vec()).unwrap_or_default();
                let lost = wanted.into_iter().filter(|step| which >> (step % 8) & 1 == 1).collect();
                LogCommand::Delivered { run, lost, at }
            }
        }
    }

    /// An answer with an epoch or a number that was never given out; the true one is still owed.
    fn forge(&self, pick: u8, how: u8) -> Option<LogCommand> {
        let attempts: Vec<_> = self.owed.iter().filter(|owed| matches!(owed, Owed::Attempt { .. })).collect();
        let Owed::Attempt { id, attempt, epoch, .. } =
            **attempts.get(usize::from(pick) % attempts.len().max(1))?
        else {
            return None;
        };
        let (attempt, epoch) = match how % 3 {
            0 => (attempt, epoch - 1),
            1 => (attempt, epoch + 1),
            _ => (attempt + 1, epoch),
        };
        let outcome = AttemptOutcome::Failed { exit_code: 9 };
        Some(LogCommand::AttemptFinished {
            id,
            attempt,
            epoch,
            outcome,
            duration_ms: 5,
            detail: None,
            at: self.now,
        })
    }
}
