//! `--progress tty`: what runs now, redrawn in place, under what has finished.
//!
//! The cursor is never hidden and no mode of the terminal outlives one write, so there is nothing to restore
//! when the process is killed.

mod frame;

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use cullet_coordinator::{Event, StepEnd};

use super::model::{Model, cause};
use super::observe::{Closing, Moment, Observer};
use super::output::Output;
use super::style::{Style, Tone};
use super::summary::Summary;
use super::{clean, duration};

/// Lines of a failed step's log that are shown at once; more follow in the summary.
const FAILED_LINES: usize = 10;

/// Asks the terminal to show what follows in one go. Terminals that do not know it ignore it.
const BEGIN: &str = "\x1b[?2026h";
/// Ends [`BEGIN`].
const END: &str = "\x1b[?2026l";

/// Columns and rows of the terminal, asked before every redraw.
pub type SizeOf = Box<dyn Fn() -> (usize, usize) + Send>;

/// Whether the cursor stands at the end of something drawn; there is one terminal.
static DRAWN: AtomicBool = AtomicBool::new(false);

/// Puts the terminal in order and the cursor on a line of its own, for a process that ends without closing its display.
pub fn abandon() {
    super::seat::restore();
    if DRAWN.swap(false, Ordering::SeqCst) {
        let _ = std::io::stdout().write_all(b"\r\n").and_then(|()| std::io::stdout().flush());
    }
}

/// Redraws in place.
pub struct Tty {
    out: Output,
    style: Style,
    size: SizeOf,
    model: Model,
    /// What goes above the redrawn lines at the next redraw.
    above: String,
    /// How many lines were drawn last; the cursor stands at the end of the last of them.
    drawn: usize,
}

impl Tty {
    /// Draws on `out`, a terminal.
    pub fn new(out: Output, style: Style, size: SizeOf) -> Self {
        Self { out, style, size, model: Model::default(), above: String::new(), drawn: 0 }
    }

    fn redraw(&mut self, now: Moment) {
        let (columns, rows) = (self.size)();
        let frame = frame::lines(&self.model, now.elapsed, columns, rows, self.style);
        self.replace(&frame);
    }

    /// Puts `frame` where the last one was, after what goes above. Only lines that were drawn here are erased:
    /// in a window made narrower some of them may have been wrapped, and then a piece of an old frame stays,
    /// which is better than erasing what somebody wants to read.
    fn replace(&mut self, frame: &[String]) {
        if frame.is_empty() && self.above.is_empty() && self.drawn == 0 {
            return;
        }
        let mut text = String::from(BEGIN);
        if self.drawn > 0 {
            text.push('\r');
            if self.drawn > 1 {
                let _ = write!(text, "\x1b[{}A", self.drawn - 1);
            }
            text.push_str("\x1b[J");
        }
        text.push_str(&self.above.replace('\n', "\r\n"));
        text.push_str(&frame.join("\r\n"));
        text.push_str(END);
        self.above.clear();
        self.drawn = frame.len();
        DRAWN.store(self.drawn > 0, Ordering::SeqCst);
        self.out.push(&text);
        self.out.flush();
    }

    fn finished(&mut self, end: &StepEnd) {
        if end.cached && end.status == "succeeded" || matches!(end.status.as_str(), "skipped" | "cancelled") {
            return;
        }
        let name = clean::line(&end.step);
        let took = self.style.paint(Tone::Faint, duration::human_ms(end.duration_ms)).to_string();
        if end.status == "succeeded" {
            let mark = self.style.paint(Tone::Good, self.style.tick());
            let _ = writeln!(self.above, "{mark} {name} {took}");
            return;
        }
        let tone = if end.allow_failure { Tone::Warn } else { Tone::Bad };
        let cause = cause(&end.status, end.exit_code, end.reason.as_deref(), end.duration_ms);
        let text = format!("{} {name}: {cause}", self.style.cross());
        let _ = writeln!(self.above, "{} {took}", self.style.paint(tone, text));
        let failure = self.model.failures.last().filter(|failure| failure.step == end.step);
        for line in failure.map(|failure| failure.tail.last(FAILED_LINES)).unwrap_or_default() {
            let _ = writeln!(self.above, "    {line}");
        }
    }
}

impl Observer for Tty {
    fn event(&mut self, event: &Event, now: Moment) {
        self.model.event(event, now.elapsed);
        match event {
            Event::StepFinished(end) => {
                self.finished(end);
                if !matches!(end.status.as_str(), "succeeded" | "skipped" | "cancelled") {
                    self.redraw(now);
                }
            }
            Event::Note(note) => {
                let tone = if note.level == "warning" { Tone::Warn } else { Tone::Faint };
                let step = note.step.as_deref().map(|step| format!("{}: ", clean::line(step)));
                let text = format!("{}: {}{}", note.level, step.unwrap_or_default(), clean::line(&note.text));
                let _ = writeln!(self.above, "{}", self.style.paint(tone, text));
            }
            _ => {}
        }
    }

    fn tick(&mut self, now: Moment) {
        self.redraw(now);
    }

    fn hold(&mut self, _: Moment) {
        self.replace(&[]);
    }

    fn close(&mut self, closing: &Closing, now: Moment) {
        let summary = Summary { model: &self.model, closing, style: self.style, logs: true };
        let text = summary.render(now.elapsed);
        self.above.push_str(&text);
        self.replace(&[]);
    }
}

impl Drop for Tty {
    /// Leaves the cursor on a line of its own, whatever happened.
    fn drop(&mut self) {
        if self.drawn > 0 {
            self.out.push("\r\n");
            DRAWN.store(false, Ordering::SeqCst);
        }
    }
}

impl std::fmt::Debug for Tty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tty").field("drawn", &self.drawn).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
