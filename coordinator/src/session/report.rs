//! Messages and reports, turned into commands for the core and events for whoever watches.

use cullet_core::{LogCommand, StepId, StepIndex};

use super::{Message, Session, now};
use crate::driver::Driver;
use crate::event::{Event, StepLog};
use crate::notes::{self, Said};
use crate::resolve::LookupNote;
use crate::workers::Report;

impl<D: Driver> Session<D> {
    pub(super) fn message(&mut self, message: Message, commands: &mut Vec<LogCommand>) {
        match message {
            Message::Answers(answers) => {
                self.lookups -= 1;
                for (step, answer) in answers {
                    if let Some(note) = answer.note {
                        self.say_lookup(step, &note);
                    }
                    if let Some(action) = answer.action {
                        self.actions.insert(step, action);
                    }
                    let id = StepId { run: self.run, step };
                    commands.push(LogCommand::Resolved { id, resolution: answer.resolution, at: now() });
                }
            }
            Message::Delivered(lost) => commands.push(self.delivered(lost)),
        }
    }

    fn say_lookup(&mut self, step: StepIndex, note: &LookupNote) {
        let name = self.step_name(step);
        let Said { kind, text, .. } = notes::of_lookup(note, &name);
        // Trouble is everybody's, and said once.
        let of = matches!(note, LookupNote::Incomplete { .. }).then_some(name);
        self.warn(kind.as_deref(), of, text);
    }

    fn delivered(&mut self, lost: Result<Vec<StepIndex>, String>) -> LogCommand {
        let lost = lost.unwrap_or_else(|error| {
            self.delivery_error = Some(error);
            Vec::new()
        });
        LogCommand::Delivered { run: self.run, lost, at: now() }
    }

    pub(super) fn report(&mut self, report: Report, commands: &mut Vec<LogCommand>) {
        match report {
            Report::Log { id, stream, text } => {
                let step = self.step_name(id.step);
                self.parts.events.event(&Event::StepLog(StepLog { step, stream: stream.to_owned(), text }));
            }
            Report::Note { id, text } => {
                let step = self.step_name(id.step);
                self.warn(None, Some(step), text);
            }
            Report::Finished(finished) => {
                commands.push(LogCommand::AttemptFinished {
                    id: finished.id,
                    attempt: finished.attempt,
                    epoch: finished.epoch,
                    outcome: finished.outcome.clone(),
                    duration_ms: finished.duration_ms,
                    detail: None,
                    at: now(),
                });
                self.ended.insert(finished.id.step, *finished);
            }
        }
    }
}
