//! What a run's events say of one step.

use std::collections::HashMap;

use cullet_coordinator::event::{Event, Note, StepEnd};

use crate::history::HistoryError;

/// What is known of a step.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Its ends in order: several where it was run again because its outputs were lost.
    pub(super) ends: Vec<Ended>,
    /// Names of steps that look like the one asked for.
    pub(super) similar: Vec<String>,
}

/// One end of the step.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) end: StepEnd,
    /// When, in milliseconds since the start of the run.
    pub(super) at_ms: u64,
    /// What was said about why it is executed.
    pub(super) notes: Vec<String>,
    /// Trouble of the run with its cache up to then.
    pub(super) trouble: Option<String>,
    /// The step of this run that was executed for both, where nothing was executed for this one.
    pub(super) identical: Option<String>,
}

impl Facts {
    /// Reads the events of a run, each with its time in milliseconds since the run's start.
    pub(super) fn read(
        step: &str,
        events: impl FnOnce(&mut dyn FnMut(Event, u64)) -> Result<(), HistoryError>,
    ) -> Result<Self, HistoryError> {
        let mut reader = Reader { step, ..Reader::default() };
        events(&mut |event, at_ms| reader.event(event, at_ms))?;
        Ok(reader.facts)
    }
}

#[derive(Default)]
struct Reader<'a> {
    step: &'a str,
    facts: Facts,
    notes: Vec<String>,
    trouble: Option<String>,
    /// Which step was executed with a key.
    executed: HashMap<String, String>,
}

impl Reader<'_> {
    fn event(&mut self, event: Event, at_ms: u64) {
        match event {
            Event::RunStarted(start) => {
                let base = self.step.split('[').next().unwrap_or(self.step);
                let alike = |name: &String| name.starts_with(base) || base.starts_with(name.as_str());
                self.facts.similar = start.steps.into_iter().filter(alike).take(5).collect();
            }
            Event::Note(note) if note.kind.as_deref() == Some(Note::RERUN) => match &note.step {
                Some(step) if step == self.step => self.notes.push(note.text),
                Some(_) => {}
                None => self.trouble = Some(note.text),
            },
            Event::StepFinished(end) if end.step == self.step => self.ended(end, at_ms),
            Event::StepFinished(StepEnd { step, cached: false, action_digest: Some(key), .. }) => {
                self.executed.insert(key, step);
            }
            _ => {}
        }
    }

    fn ended(&mut self, end: StepEnd, at_ms: u64) {
        // An identical step that is executed later, because its outputs were lost, answered nothing here.
        let identical =
            end.action_digest.as_ref().filter(|_| end.cached).and_then(|key| self.executed.get(key));
        let identical = identical.cloned();
        let (notes, trouble) = (std::mem::take(&mut self.notes), self.trouble.clone());
        self.facts.ends.push(Ended { end, at_ms, notes, trouble, identical });
    }
}
