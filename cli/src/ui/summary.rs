//! What is said when a run is over.

use std::fmt::Write as _;
use std::time::Duration;

use cullet_coordinator::RunEnd;

use super::model::{Failure, Model};
use super::observe::Closing;
use super::style::{Style, Tone};
use super::{clean, duration, size};

/// Failed steps whose logs are repeated. Somebody who has more failures reads them one by one.
const LOGS: usize = 10;

/// Failed steps that are listed.
const FAILURES: usize = 50;

/// Failed tests listed for each step.
const TESTS: usize = 20;

/// From how much processor time on it is said what a run took, milliseconds.
const WORTH_MENTIONING_MS: u64 = 10_000;

/// Reasons for skipping that are listed.
const REASONS: usize = 10;

/// A run that is over, ready to be described.
#[derive(Debug)]
pub struct Summary<'a> {
    /// The run.
    pub model: &'a Model,
    /// What the command adds.
    pub closing: &'a Closing,
    /// How to decorate.
    pub style: Style,
    /// Whether the logs of failed steps are repeated.
    pub logs: bool,
}

impl Summary<'_> {
    /// The text, ending with a newline. `elapsed` stands in for the duration of a run that never said its own.
    pub fn render(&self, elapsed: Duration) -> String {
        let mut out = String::new();
        if self.logs {
            self.logs(&mut out);
        }
        self.failures(&mut out);
        self.skips(&mut out);
        if !out.is_empty() {
            out.push('\n');
        }
        self.verdict(elapsed, &mut out);
        self.outputs(&mut out);
        self.hints(&mut out);
        out
    }

    fn logs(&self, out: &mut String) {
        let with_logs = self.model.failures.iter().filter(|failure| !failure.tail.is_empty());
        for failure in with_logs.take(LOGS) {
            let name = clean::line(&failure.step);
            let title = format!("--- {name}: {} ---", failure.cause());
            let _ = writeln!(out, "\n{}", self.style.paint(Tone::Bad, title));
            if failure.tail.dropped() > 0 {
                let mut more = format!("{} {} earlier lines", self.style.ellipsis(), failure.tail.dropped());
                if !self.closing.unrecorded {
                    let _ = write!(more, ": cullet logs {} {}", short(&self.model.run), quoted(&name));
                }
                let _ = writeln!(out, "{}", self.style.paint(Tone::Faint, more));
            }
            for line in failure.tail.lines() {
                let _ = writeln!(out, "{line}");
            }
        }
    }

    fn failures(&self, out: &mut String) {
        if self.model.failures.is_empty() {
            return;
        }
        let _ = writeln!(out, "\n{}", self.style.paint(Tone::Strong, "Failed"));
        for failure in self.model.failures.iter().take(FAILURES) {
            self.failure(failure, out);
        }
        let counted = self.model.counts.failed + self.model.counts.tolerated;
        let listed = self.model.failures.len().min(FAILURES);
        if counted > listed {
            let _ = writeln!(out, "  and {} more", counted - listed);
        }
    }

    fn failure(&self, failure: &Failure, out: &mut String) {
        let tone = if failure.tolerated { Tone::Warn } else { Tone::Bad };
        let mark = self.style.paint(tone, self.style.cross());
        let mut notes = String::new();
        if failure.tolerated {
            notes.push_str(", which it may");
        }
        if failure.shared {
            notes.push_str(", as an identical step did");
        }
        let _ = writeln!(out, "  {mark} {}: {}{notes}", clean::line(&failure.step), failure.cause());
        let Some(tests) = failure.tests.as_ref().filter(|tests| tests.failed > 0) else { return };
        let _ = writeln!(out, "      {} of {} tests failed", tests.failed, tests.tests);
        for name in tests.failures.iter().take(TESTS) {
            let _ = writeln!(out, "      {} {}", self.style.dash(), clean::line(name));
        }
        let listed = tests.failures.len().min(TESTS) as u64;
        if tests.failed > listed {
            let _ = writeln!(out, "      and {} more", tests.failed - listed);
        }
    }

    fn skips(&self, out: &mut String) {
        let skips = &self.model.skips;
        if skips.groups().is_empty() {
            return;
        }
        let _ = writeln!(out, "\n{}", self.style.paint(Tone::Strong, "Not run"));
        for group in skips.groups().iter().take(REASONS) {
            let names: Vec<String> = group.names.iter().map(|name| clean::line(name)).collect();
            let more = match group.count - group.names.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let _ = writeln!(
                out,
                "  {} {}{more}: {}",
                self.style.paint(Tone::Warn, self.style.dash()),
                names.join(", "),
                group.reason,
            );
        }
        let rest: usize = skips.groups().iter().skip(REASONS).map(|group| group.count).sum();
        if rest + skips.ungrouped() > 0 {
            let _ = writeln!(out, "  and {} more for other reasons", rest + skips.ungrouped());
        }
    }

    /// Of a run that took next to nothing there is nothing to say.
    fn taken(&self, out: &mut String) {
        let taken = &self.model.taken;
        if taken.cpu_ms < WORTH_MENTIONING_MS {
            return;
        }
        let (cpu, peak) = (duration::human_ms(taken.cpu_ms), size::human(taken.peak_memory_bytes));
        let largest = clean::line(&taken.largest);
        let (read, written) = (size::human(taken.read_bytes), size::human(taken.written_bytes));
        let _ = writeln!(
            out,
            "  took {cpu} of processor time, and at most {peak} of memory ({largest}); read {read} and wrote {written}"
        );
    }

    fn verdict(&self, elapsed: Duration, out: &mut String) {
        let end = self.model.end.clone().unwrap_or_default();
        let took = if self.model.end.is_some() { Duration::from_millis(end.duration_ms) } else { elapsed };
        let (tone, word) = match end.status.as_str() {
            "succeeded" => (Tone::Good, "succeeded"),
            "failed" => (Tone::Bad, "failed"),
            "cancelled" => (Tone::Warn, "cancelled"),
            "infra_failed" => (Tone::Bad, "failed by the machine"),
            _ => (Tone::Warn, "did not finish"),
        };
        let mark = if tone == Tone::Good { self.style.tick() } else { self.style.cross() };
        let verdict = self.style.paint(tone, format!("{mark} {word}"));
        let name = clean::line(&self.model.pipeline);
        let _ = write!(out, "{verdict} {name} in {}", duration::human(took));
        let dot = self.style.separator();
        let counts = &self.model.counts;
        let (executed, cached) = match &self.model.end {
            Some(end) => (end.executed as usize, end.cached as usize),
            None => (counts.executed, counts.cached),
        };
        let _ = write!(out, "{dot}{executed} executed{dot}{cached} cached");
        out.push_str(&of_cached(&end, self.closing.cluster));
        out.push_str(&moved(&end, dot));
        for (count, what) in [(end.failed, "failed"), (end.skipped, "not run")] {
            if count > 0 {
                let _ = write!(out, "{dot}{count} {what}");
            }
        }
        out.push('\n');
        // What no step is to blame for, such as an output that could not be written.
        if let Some(reason) = end.reason.as_deref().filter(|_| self.model.failures.is_empty()) {
            let _ = writeln!(out, "  {}", clean::line(reason));
        }
        self.taken(out);
        let tests = &self.model.tests;
        if tests.tests > 0 {
            let passed = tests.tests.saturating_sub(tests.failed + tests.skipped);
            let _ = write!(out, "  tests: {passed} passed{dot}{} failed", tests.failed);
            let _ = writeln!(out, "{dot}{} skipped", tests.skipped);
        }
    }

    fn outputs(&self, out: &mut String) {
        if let Some((directory, count)) = &self.closing.outputs {
            let plural = if *count == 1 { "" } else { "s" };
            let directory = clean::line(&directory.display().to_string());
            let _ = writeln!(out, "  {count} output{plural} written to {directory}");
        }
    }

    fn hints(&self, out: &mut String) {
        if self.closing.unrecorded {
            return;
        }
        let Some(failure) = self.model.failures.iter().find(|failure| !failure.tolerated) else { return };
        let (run, step) = (short(&self.model.run), quoted(&clean::line(&failure.step)));
        let _ = writeln!(out, "  log: cullet logs {run} {step}");
        if failure.status == "failed" {
            let _ = writeln!(out, "  key: cullet why {step} --run {run}");
        }
    }
}

/// What there is to say of the steps that were not executed.
fn of_cached(end: &RunEnd, by_cluster: bool) -> String {
    let shared = end.shared_cache.as_ref().filter(|shared| shared.cached_shared > 0);
    let from =
        shared.map(|shared| format!("{} from {}", shared.cached_shared, clean::line(&shared.location)));
    let from = from.or_else(|| (by_cluster && end.cached > 0).then(|| "from the cluster's store".to_owned()));
    let saved = (end.saved_ms > 0).then(|| format!("saved {}", duration::human_ms(end.saved_ms)));
    let said: Vec<String> = from.into_iter().chain(saved).collect();
    if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) }
}

/// What went from and to a shared cache.
fn moved(end: &RunEnd, dot: &str) -> String {
    let Some(shared) = &end.shared_cache else { return String::new() };
    let ways = [(shared.downloaded_bytes, "downloaded"), (shared.uploaded_bytes, "uploaded")];
    let moved = ways.into_iter().filter(|(bytes, _)| *bytes > 0);
    moved.map(|(bytes, way)| format!("{dot}{} {way}", size::human(bytes))).collect()
}

/// Enough of a run's name to find it again.
pub fn short(run: &str) -> &str {
    run.get(..12).unwrap_or(run)
}

/// A step's name as a shell takes it: brackets of matrix steps are patterns to it.
pub fn quoted(step: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !step.is_empty() && step.chars().all(harmless) {
        step.to_owned()
    } else {
        format!("'{}'", step.replace('\'', r"'\''"))
    }
}
