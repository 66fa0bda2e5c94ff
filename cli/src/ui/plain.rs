//! `--progress plain`: one line for each step that starts or ends, for logs of CI systems and files.

use std::fmt::Write as _;
use std::time::Duration;

use cullet_coordinator::{Event, Note, StepEnd, StepStart};

use super::model::{Model, cause};
use super::observe::{Closing, Moment, Observer};
use super::output::Output;
use super::style::{Style, Tone};
use super::summary::Summary;
use super::{clean, duration};

/// Runs with at most this many steps get a line for each cached or skipped one; in larger runs those are only
/// counted. Fifty lines fit a screen or two.
const LISTED: usize = 50;

/// Writes lines.
#[derive(Debug)]
pub struct Plain {
    out: Output,
    style: Style,
    model: Model,
}

impl Plain {
    /// Writes to `out`.
    pub fn new(out: Output, style: Style) -> Self {
        Self { out, style, model: Model::default() }
    }

    fn line(&mut self, elapsed: Duration, text: &str) {
        let time = format!("[{:>7}]", duration::human(elapsed));
        let time = self.style.paint(Tone::Faint, time);
        self.out.push(&format!("{time} {text}\n"));
    }

    fn started(&mut self, start: &StepStart, now: Moment) {
        let mut text = format!("{}: started", clean::line(&start.step));
        if start.attempt > 1 {
            let _ = write!(text, " again (attempt {})", start.attempt);
        }
        self.line(now.elapsed, &text);
    }

    fn finished(&mut self, end: &StepEnd, now: Moment) {
        let few = self.model.total() <= LISTED;
        let took = duration::human_ms(end.duration_ms);
        let status = match end.status.as_str() {
            "succeeded" if end.cached && !few => return,
            "succeeded" if end.cached => self.style.paint(Tone::Good, "cached".to_owned()),
            "succeeded" => self.style.paint(Tone::Good, format!("succeeded in {took}")),
            "skipped" | "cancelled" if !few => return,
            "skipped" | "cancelled" => {
                let reason = end.reason.as_deref().map(|reason| format!(": {}", clean::line(reason)));
                self.style.paint(Tone::Warn, format!("{}{}", end.status, reason.unwrap_or_default()))
            }
            status => {
                let cause = cause(status, end.exit_code, end.reason.as_deref(), end.duration_ms);
                let word = if end.allow_failure { "failed, as it may" } else { "failed" };
                let tone = if end.allow_failure { Tone::Warn } else { Tone::Bad };
                self.style.paint(tone, format!("{word} after {took}: {cause}"))
            }
        };
        let text = format!("{}: {status}", clean::line(&end.step));
        self.line(now.elapsed, &text);
    }

    fn note(&mut self, note: &Note, now: Moment) {
        let step = note.step.as_deref().map(|step| format!(" {}:", clean::line(step))).unwrap_or_default();
        let text = format!("{}:{step} {}", note.level, clean::line(&note.text));
        self.line(now.elapsed, &text);
    }
}

impl Observer for Plain {
    fn event(&mut self, event: &Event, now: Moment) {
        self.model.event(event, now.elapsed);
        match event {
            Event::RunStarted(start) => {
                let (name, steps) = (clean::line(&start.pipeline), start.steps.len());
                let plural = if steps == 1 { "" } else { "s" };
                self.line(now.elapsed, &format!("{name}: {steps} step{plural}, run {}", start.run));
            }
            Event::StepStarted(start) => self.started(start, now),
            Event::StepFinished(end) => self.finished(end, now),
            Event::Note(note) => self.note(note, now),
            Event::StepLog(_) | Event::StepQueued { .. } | Event::RunFinished(_) => {}
        }
    }

    fn tick(&mut self, _now: Moment) {
        self.out.flush();
    }

    fn close(&mut self, closing: &Closing, now: Moment) {
        let summary = Summary { model: &self.model, closing, style: self.style, logs: true };
        let text = summary.render(now.elapsed);
        self.out.push(&text);
        self.out.flush();
    }
}

#[cfg(test)]
mod tests;
