//! The lines that are redrawn.

use std::time::Duration;

use crate::ui::model::{Model, Running};
use crate::ui::style::{Style, Tone};
use crate::ui::{clean, duration, width};

/// Rows used at most, however tall the terminal is: what moves should be seen at a glance.
const ROWS: usize = 30;

/// Lines of log under each running step, if there is room.
const LOG_LINES: usize = 3;

/// Lines of log where a single step runs.
const LOG_LINES_ALONE: usize = 8;

/// What to draw on a terminal of this size; each line fits it. Nothing before the run started.
pub(super) fn lines(
    model: &Model,
    elapsed: Duration,
    columns: usize,
    rows: usize,
    style: Style,
) -> Vec<String> {
    if model.run.is_empty() {
        return Vec::new();
    }
    // One column free, so that no terminal wraps; one row, so that what is above stays in sight.
    let page = Page { columns: columns.saturating_sub(1), style, elapsed };
    let rows = rows.saturating_sub(1).clamp(1, ROWS);
    let mut lines = vec![page.header(model)];
    lines.extend(page.steps(&model.running, rows - 1));
    lines
}

struct Page {
    columns: usize,
    style: Style,
    elapsed: Duration,
}

impl Page {
    fn header(&self, model: &Model) -> String {
        let counts = model.counts;
        let mut facts = vec![format!("{}/{} done", counts.done(), model.total())];
        let optional = [
            (counts.cached, "cached"),
            (counts.failed + counts.tolerated, "failed"),
            (counts.running, "running"),
            (counts.queued, "queued"),
        ];
        facts.extend(
            optional
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| format!("{count} {what}")),
        );
        let name = clean::line(&model.pipeline);
        let facts = facts.join(self.style.separator());
        let text = format!("{name} {} {facts}", duration::human(self.elapsed));
        let tone = if counts.failed > 0 { Tone::Bad } else { Tone::Strong };
        self.painted(tone, &text)
    }

    fn steps(&self, running: &[Running], rows: usize) -> Vec<String> {
        let mut lines = Vec::new();
        if rows == 0 || running.is_empty() {
            return lines;
        }
        let shown = if running.len() > rows { rows - 1 } else { running.len() };
        let wanted = if running.len() == 1 { LOG_LINES_ALONE } else { LOG_LINES };
        let logs = (rows - shown.min(rows)).checked_div(shown).unwrap_or(0).min(wanted);
        for step in &running[..shown] {
            lines.push(self.step(step));
            let bar = if self.style.unicode { "│" } else { "|" };
            let tail = step.tail.last(logs);
            lines.extend(tail.iter().map(|line| self.painted(Tone::Faint, &format!("    {bar} {line}"))));
        }
        if shown < running.len() {
            let text = format!("  {} and {} more", self.style.ellipsis(), running.len() - shown);
            lines.push(self.painted(Tone::Faint, &text));
        }
        lines
    }

    fn step(&self, step: &Running) -> String {
        let took = duration::human(self.elapsed.saturating_sub(step.since));
        let again = if step.attempt > 1 { format!(" (attempt {})", step.attempt) } else { String::new() };
        let end = format!("{again} {took}");
        let name = format!("  {} {}", self.style.dot(), clean::line(&step.step));
        let room = self.columns.saturating_sub(width::columns(&end));
        let text = format!("{}{end}", width::fit(&name, room, self.style.ellipsis()));
        self.painted(Tone::Busy, &text)
    }

    /// Cut first, painted then: a cut must not go through an escape sequence.
    fn painted(&self, tone: Tone, text: &str) -> String {
        let text = width::fit(text, self.columns, self.style.ellipsis());
        self.style.paint(tone, text).to_string()
    }
}
