//! What a run looks like after its events.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use cullet_coordinator::{Event, StepEnd};

use crate::ui::model::{Model, cause};
use crate::ui::{Closing, Style, Summary, Tone, clean, duration};

/// Steps that are listed one by one.
const STEPS: usize = 200;

/// Runs with more steps than this list only those that were not answered by the cache.
const FEW: usize = 50;

/// Built event by event.
#[derive(Debug, Default)]
pub(super) struct Picture {
    model: Model,
    ends: Vec<StepEnd>,
    /// Where in `ends` a step is.
    at: HashMap<String, usize>,
    last_ms: u64,
}

impl Picture {
    /// Takes the next event; `at_ms` is since the run's start.
    pub(super) fn event(&mut self, event: Event, at_ms: u64) {
        self.last_ms = at_ms.max(self.last_ms);
        self.model.event(&event, Duration::from_millis(at_ms));
        let Event::StepFinished(end) = event else { return };
        match self.at.get(&end.step) {
            Some(known) => self.ends[*known] = end,
            None => {
                self.at.insert(end.step.clone(), self.ends.len());
                self.ends.push(end);
            }
        }
    }

    /// The text: every step, and how it stands with the run. `elapsed_ms` is how long it ran, where that is known.
    pub(super) fn render(&self, live: bool, elapsed_ms: Option<u64>, style: Style) -> String {
        let mut text = String::new();
        steps(&self.ends, self.model.total(), style, &mut text);
        let elapsed = Duration::from_millis(elapsed_ms.unwrap_or(self.last_ms));
        if live {
            running(&self.model, elapsed, style, &mut text);
        } else {
            let closing = Closing::default();
            let summary = Summary { model: &self.model, closing: &closing, style, logs: false };
            if self.model.failures.is_empty() {
                text.push('\n');
            }
            text.push_str(&summary.render(elapsed));
        }
        text
    }
}

fn steps(ends: &[StepEnd], total: usize, style: Style, text: &mut String) {
    let cached = |end: &StepEnd| end.cached && end.status == "succeeded";
    let quiet = |end: &StepEnd| cached(end) || end.status == "skipped";
    let listed: Vec<&StepEnd> = ends.iter().filter(|end| total <= FEW || !quiet(end)).collect();
    if !listed.is_empty() {
        text.push('\n');
    }
    for end in listed.iter().take(STEPS) {
        let took = duration::human_ms(end.duration_ms);
        let (tone, mark, what) = match end.status.as_str() {
            "succeeded" if end.cached => (Tone::Good, style.tick(), "cached".to_owned()),
            "succeeded" => (Tone::Good, style.tick(), took),
            status @ ("skipped" | "cancelled") => (Tone::Warn, style.dash(), status.to_owned()),
            status => {
                let why = cause(status, end.exit_code, end.reason.as_deref(), end.duration_ms);
                (Tone::Bad, style.cross(), format!("{took}{}{why}", style.separator()))
            }
        };
        let _ = writeln!(text, "{} {} {what}", style.paint(tone, mark), clean::line(&end.step));
    }
    if listed.len() > STEPS {
        let _ = writeln!(text, "and {} more: cullet status --format json", listed.len() - STEPS);
    }
}

fn running(model: &Model, elapsed: Duration, style: Style, text: &mut String) {
    for step in &model.running {
        let took = duration::human(elapsed.saturating_sub(step.since));
        let _ = writeln!(text, "{} {} {took}", style.paint(Tone::Busy, style.dot()), clean::line(&step.step));
    }
    let counts = model.counts;
    let (dot, time) = (style.separator(), duration::human(elapsed));
    let _ = write!(text, "\n{}/{} done after {time}", counts.done(), model.total());
    for (count, what) in [
        (counts.cached, "cached"),
        (counts.failed + counts.tolerated, "failed"),
        (counts.running, "running"),
        (counts.queued, "queued"),
    ] {
        if count > 0 {
            let _ = write!(text, "{dot}{count} {what}");
        }
    }
    text.push('\n');
}
