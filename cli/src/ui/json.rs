//! `--progress json`: every event, one object a line, and nothing else. The shapes are an interface; see
//! docs/events.md.

use cullet_coordinator::{Event, StepEnd};

use super::line::LineWriter;
use super::observe::{Closing, Moment, Observer};
use super::output::Output;

/// Writes events as JSON lines.
#[derive(Debug)]
pub struct Json {
    out: Output,
    lines: LineWriter,
}

impl Json {
    /// Writes to `out`.
    pub fn new(out: Output) -> Self {
        Self { out, lines: LineWriter::default() }
    }
}

impl Observer for Json {
    fn event(&mut self, event: &Event, now: Moment) {
        match event {
            // The encoded result is for the run's history: large, and no part of the interface.
            Event::StepFinished(end) if end.result.is_some() => {
                let end = Event::StepFinished(StepEnd { result: None, ..end.clone() });
                self.lines.append(&end, now.wall_ms, self.out.buffer());
            }
            event => self.lines.append(event, now.wall_ms, self.out.buffer()),
        }
        match event {
            // What comes by the thousand waits for the next tick.
            Event::StepLog(_) | Event::StepQueued { .. } => self.out.grown(),
            Event::StepFinished(end) if end.cached || end.status == "skipped" => self.out.grown(),
            _ => self.out.flush(),
        }
    }

    fn tick(&mut self, _now: Moment) {
        self.out.flush();
    }

    fn close(&mut self, _closing: &Closing, _now: Moment) {
        self.out.flush();
    }
}

#[cfg(test)]
mod tests;
