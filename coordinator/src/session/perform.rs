//! Effects of the core, performed.

use cullet_core::{AttemptId, AttemptOutcome, Effect, Epoch, StepId, StepIndex, StepPhase, WorkerId};
use cullet_digest::{Digest, TreeRef};

use super::{Message, Session};
use crate::deliverable::Deliverable;
use crate::driver::Driver;
use crate::event::{Event, Note, StepStart};
use crate::notes;
use crate::resolve::{Question, inputs_of};
use crate::workers::{Finished, Report, StartAttempt};

/// Steps that one lookup task takes at most: enough to make a task's cost vanish, few enough that both
/// processors stay busy to the end.
const LOOKUP_BATCH: usize = 64;

impl<D: Driver> Session<D> {
    pub(super) async fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Resolve { id, bypass_cache } => self.to_resolve.push_back((id.step, bypass_cache)),
            Effect::Start { id, attempt, epoch, worker, action } => {
                self.start(id, attempt, epoch, worker, action).await;
            }
            Effect::Stop { id, attempt, .. } => self.parts.workers.stop(id, attempt),
            Effect::StepFinished { id } => self.announce_end(id.step),
            Effect::StepRewound { id } => self.announce_rewind(id.step),
            Effect::Deliver { .. } => self.deliver(),
            // Read from the state.
            Effect::SubmitAccepted { .. }
            | Effect::SubmitRefused { .. }
            | Effect::RunFinished { .. }
            | Effect::RunForgotten { .. } => {}
        }
    }

    /// Starts lookup tasks while there are steps to look up and room for tasks.
    pub(super) fn look_up(&mut self) {
        while self.lookups < self.most_lookups && !self.to_resolve.is_empty() {
            let share = (self.to_resolve.len() / self.most_lookups).clamp(1, LOOKUP_BATCH);
            let batch: Vec<(StepIndex, bool)> = self.to_resolve.drain(..share).collect();
            let questions: Vec<Question> =
                batch.into_iter().filter_map(|(step, bypass)| self.question(step, bypass)).collect();
            let (resolver, messages) = (self.parts.resolver.clone(), self.messages.clone());
            self.lookups += 1;
            tokio::spawn(async move {
                let mut answers = Vec::with_capacity(questions.len());
                for question in questions {
                    let step = question.step;
                    answers.push((step, resolver.resolve_and_keep(question).await));
                }
                // Nobody listens any more once the session is dropped.
                let _ = messages.send(Message::Answers(answers)).await;
            });
        }
    }

    fn question(&self, step: StepIndex, bypass_cache: bool) -> Option<Question> {
        Question::of(self.core_run()?, step, self.parts.templates.outputs(step), bypass_cache)
    }

    async fn start(
        &mut self,
        id: StepId,
        attempt: AttemptId,
        epoch: Epoch,
        worker: WorkerId,
        digest: Digest,
    ) {
        let name = self.step_name(id.step);
        self.announce_retry(id.step, attempt, &name);
        self.parts.events.event(&Event::StepStarted(StepStart {
            step: name.clone(),
            attempt,
            worker: self.parts.workers.name(worker),
        }));
        let Some(action) = self.actions.get(&id.step).cloned() else {
            self.refuse(id, attempt, epoch);
            return;
        };
        let templates = &self.parts.templates;
        let start = StartAttempt {
            id,
            attempt,
            epoch,
            worker,
            name,
            digest,
            action,
            outputs: templates.outputs(id.step),
            inputs: self.core_run().and_then(|run| inputs_of(run, id.step)).unwrap_or_default(),
            reports: templates.reports(id.step),
            limits: templates.limits(id.step),
            caches: templates.caches(id.step).to_vec(),
        };
        self.parts.workers.start(start, self.reports.clone()).await;
    }

    /// Answers for an attempt whose action is not known here, so that the core does not wait for ever.
    fn refuse(&self, id: StepId, attempt: AttemptId, epoch: Epoch) {
        let reason = "its action is not known to this coordinator";
        let report = Report::Finished(Box::new(Finished {
            id,
            attempt,
            epoch,
            outcome: AttemptOutcome::Infra { reason: reason.into() },
            duration_ms: 0,
            exit_code: None,
            reason: Some(reason.to_owned()),
            result: None,
            recorded: false,
            tests: None,
        }));
        let reports = self.reports.clone();
        tokio::spawn(async move {
            // Nobody listens any more once the session is dropped.
            let _ = reports.send(report).await;
        });
    }

    fn announce_rewind(&mut self, step: StepIndex) {
        let name = self.step_name(step);
        self.warn(Some(Note::RERUN), Some(name.clone()), notes::rewound(&name).text);
    }

    /// Says why a step is started again. One that is run again for its lost outputs was announced as such.
    fn announce_retry(&mut self, step: StepIndex, attempt: AttemptId, name: &str) {
        let view = self.core_run().and_then(|run| run.step(step));
        let Some(reason) = view.and_then(|view| view.reason).filter(|_| attempt > 1) else { return };
        let note = notes::retry(attempt, reason).of(Some(name.to_owned()));
        self.parts.events.event(&Event::Note(note));
    }

    /// Says a sentence, unless it was said before.
    pub(super) fn warn(&mut self, kind: Option<&str>, step: Option<String>, text: String) {
        if self.said.insert(text.clone()) {
            let (level, kind) = ("warning".to_owned(), kind.map(str::to_owned));
            self.parts.events.event(&Event::Note(Note { level, kind, step, text }));
        }
    }

    /// Announces those of `steps` that wait for room. Most steps find room at once and need no mention.
    pub(super) fn announce_queued(&mut self, steps: &[StepIndex]) {
        for &step in steps {
            let phase = self.core_run().and_then(|run| run.step(step)).map(|view| view.phase);
            if phase == Some(StepPhase::Ready) {
                let step = self.step_name(step);
                self.parts.events.event(&Event::StepQueued { step });
            }
        }
    }

    fn deliver(&mut self) {
        let outputs = self.deliverables();
        let (delivery, messages) = (self.parts.delivery.clone(), self.messages.clone());
        tokio::spawn(async move {
            let lost = delivery.deliver(outputs).await;
            // Nobody listens any more once the session is dropped.
            let _ = messages.send(Message::Delivered(lost)).await;
        });
    }

    /// What the run hands out, with the producing step as the number it is known by. An output of a step that
    /// did not run is left out, and that is said.
    fn deliverables(&mut self) -> Vec<Deliverable<TreeRef>> {
        let mut found = Vec::new();
        for wanted in self.parts.templates.deliverables() {
            let run = self.core_run();
            let path = wanted.path.clone();
            let tree = |step, output: &u16| run?.step(step)?.outputs.get(usize::from(*output)).copied();
            match wanted.find(tree) {
                Ok(tree) => found.push(tree),
                Err(step) => {
                    let name = self.step_name(step);
                    let text = format!("the output '{path}' is not written: {name} did not succeed");
                    self.warn(None, Some(name), text);
                }
            }
        }
        found
    }
}
