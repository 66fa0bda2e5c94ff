//! What each command does to the state. One handler a file; here is what they share.

pub(crate) mod admit;
mod attempt;
mod cancel;
mod conclude;
mod configure;
mod deliver;
mod finish;
mod forget;
mod journal;
mod lost;
pub(crate) mod quarantine;
mod ready;
mod resolved;
mod shun;
mod start;
mod submit;
pub(crate) mod unplaceable;
mod upgrade;
mod worker;

use std::collections::VecDeque;

use self::attempt::Report;
use crate::ending::Ending;
use crate::flights::Work;
use crate::schedule::News;
use crate::step::Step;
use crate::{Effect, LogCommand, State, StepId, TimeMs, WorkerId};

/// One command on its way through the state.
pub(crate) struct Transition<'s> {
    state: &'s mut State,
    at: TimeMs,
    effects: Vec<Effect>,
    /// Ends that follow from other ends. A queue and not recursion: a chain of skipped steps can be a million
    /// long.
    endings: VecDeque<(StepId, Ending)>,
    /// What the next round of assignments has to look at.
    news: News,
    /// The worker that was kept free when the last round ended.
    kept: Option<WorkerId>,
    /// Steps that became ready.
    readied: Vec<StepId>,
    /// A run ended, or less is to be kept.
    trims: bool,
    /// What is due happens now.
    ticks: bool,
}

impl<'s> Transition<'s> {
    pub(crate) fn new(state: &'s mut State, at: TimeMs) -> Self {
        let kept = state.ready.reservation().map(|reservation| reservation.worker);
        Self {
            state,
            at,
            effects: Vec::new(),
            endings: VecDeque::new(),
            news: News::default(),
            kept,
            readied: Vec::new(),
            trims: false,
            ticks: false,
        }
    }

    pub(crate) fn run(mut self, command: &LogCommand) -> Vec<Effect> {
        let refused = self.state.refused;
        self.handle(command);
        if self.state.refused > refused {
            return self.effects;
        }
        loop {
            while let Some((id, ending)) = self.endings.pop_front() {
                self.finish(id, ending);
            }
            self.assign();
            if self.endings.is_empty() {
                self.write_queued();
                if self.trims {
                    self.trim();
                }
                return self.effects;
            }
        }
    }

    fn handle(&mut self, command: &LogCommand) {
        match command {
            LogCommand::Configure { settings, .. } => self.configure(settings),
            LogCommand::Tick { .. } => {
                self.ticks = true;
                self.end_shunning();
            }
            LogCommand::Submit { run, spec, .. } => self.submit(*run, spec),
            LogCommand::Resolved { id, resolution, .. } => self.resolved(*id, resolution),
            LogCommand::WorkerJoined { spec, .. } => self.worker_joined(spec),
            LogCommand::WorkerDraining { worker, .. } => self.worker_draining(*worker),
            LogCommand::WorkerLeft { worker, reason, .. } => self.worker_left(*worker, reason),
            LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms, detail, .. } => {
                let report = Report { outcome, duration_ms: *duration_ms, detail: *detail };
                self.attempt_finished(*id, *attempt, *epoch, report);
            }
            LogCommand::Delivered { run, lost, .. } => self.delivered(*run, lost),
            LogCommand::Noted { run, step, note, .. } => self.note(*run, *step, note),
            LogCommand::Cancel { run, .. } => self.cancel(*run),
            LogCommand::Forget { run } => self.forget(*run),
            LogCommand::Upgrade { version } => self.upgrade(*version),
            #[cfg(feature = "next-version")]
            LogCommand::Rehearse => self.state.rehearsals += 1,
        }
    }

    /// The command is late, repeated or about something unknown.
    fn refuse(&mut self) {
        self.state.refused += 1;
    }

    fn step(&mut self, id: StepId) -> Option<&mut Step> {
        self.state.step_mut(id)
    }

    /// The work of a step whose action is known.
    fn work(&self, id: StepId) -> Option<Work> {
        self.state.runs.get(&id.run)?.work(id.step)
    }
}
