//! What a run looks like after the events so far. Every way of showing a run reads this and nothing else.

mod counts;
mod failure;
mod skips;
mod tail;

use std::collections::HashMap;
use std::time::Duration;

use cullet_coordinator::event::Usage;
use cullet_coordinator::{Event, RunEnd, StepEnd, StepStart, TestSummary};

pub use counts::Counts;
pub use failure::{Failure, cause};
pub use skips::Skips;
pub use tail::Tail;

use counts::Place;

/// How many failures are kept with their logs. A person reads one or two; a thousand failing steps must not
/// hold a thousand logs in memory. The rest are kept by name.
const LOGS_KEPT: usize = 20;

/// How many failures are kept at all; beyond, they are counted.
const FAILURES_KEPT: usize = 1000;

/// The state of a run, built from its events.
#[derive(Debug, Default)]
pub struct Model {
    /// The run; empty before it started.
    pub run: String,
    /// The pipeline's name.
    pub pipeline: String,
    /// How many steps are where.
    pub counts: Counts,
    /// What runs now, in the order of starting.
    pub running: Vec<Running>,
    /// What failed, in order; those that may fail included.
    pub failures: Vec<Failure>,
    /// What did not run, by reason.
    pub skips: Skips,
    /// Tests over all reports of the run.
    pub tests: TestSummary,
    /// What its executions took, as far as it is known.
    pub taken: Taken,
    /// How it ended, once it has.
    pub end: Option<RunEnd>,
    places: HashMap<String, Place>,
}

/// What all executions of a run took.
#[derive(Debug, Default)]
pub struct Taken {
    /// Processor time, milliseconds.
    pub cpu_ms: u64,
    /// The most memory that one of them had, bytes.
    pub peak_memory_bytes: u64,
    /// Which.
    pub largest: String,
    /// Read from disks, bytes.
    pub read_bytes: u64,
    /// Written and meant for disks, bytes.
    pub written_bytes: u64,
}

impl Taken {
    fn add(&mut self, step: &str, usage: Usage) {
        self.cpu_ms = self.cpu_ms.saturating_add(usage.cpu_ms);
        self.read_bytes = self.read_bytes.saturating_add(usage.read_bytes);
        self.written_bytes = self.written_bytes.saturating_add(usage.written_bytes);
        if usage.peak_memory_bytes > self.peak_memory_bytes {
            self.peak_memory_bytes = usage.peak_memory_bytes;
            step.clone_into(&mut self.largest);
        }
    }
}

/// A step that runs.
#[derive(Debug)]
pub struct Running {
    /// Its name.
    pub step: String,
    /// Counts from 1.
    pub attempt: u32,
    /// When this attempt started, since the run's start.
    pub since: Duration,
    /// What it printed last.
    pub tail: Tail,
}

impl Model {
    /// Takes the next event; `elapsed` is the time since the run's start.
    pub fn event(&mut self, event: &Event, elapsed: Duration) {
        match event {
            Event::RunStarted(start) => {
                self.run.clone_from(&start.run);
                self.pipeline.clone_from(&start.pipeline);
                self.counts.waiting(start.steps.len());
                self.places = start.steps.iter().map(|step| (step.clone(), Place::Waiting)).collect();
            }
            Event::StepQueued { step } => self.move_to(step, Place::Queued),
            Event::StepStarted(start) => self.started(start, elapsed),
            Event::StepLog(log) => {
                if let Some(step) = self.running.iter_mut().rfind(|running| running.step == log.step) {
                    step.tail.push(&log.text);
                }
            }
            Event::StepFinished(end) => self.finished(end),
            Event::Note(_) => {}
            Event::RunFinished(end) => self.end = Some(end.clone()),
        }
    }

    /// How many steps the run has.
    pub fn total(&self) -> usize {
        self.places.len()
    }

    fn started(&mut self, start: &StepStart, elapsed: Duration) {
        self.move_to(&start.step, Place::Running);
        self.running.retain(|running| running.step != start.step);
        self.running.push(Running {
            step: start.step.clone(),
            attempt: start.attempt,
            since: elapsed,
            tail: Tail::default(),
        });
    }

    fn finished(&mut self, end: &StepEnd) {
        let position = self.running.iter().position(|running| running.step == end.step);
        let running = position.map(|position| self.running.remove(position));
        let place = Place::of(end);
        self.move_to(&end.step, place);
        match place {
            Place::Failed | Place::Tolerated => self.failed(end, running),
            Place::Skipped => self.skips.add(&end.step, end.reason.as_deref()),
            _ => {}
        }
        if let Some(usage) = end.usage {
            self.taken.add(&end.step, usage);
        }
        if let Some(tests) = &end.tests {
            self.tests.tests += tests.tests;
            self.tests.failed += tests.failed;
            self.tests.skipped += tests.skipped;
        }
    }

    fn failed(&mut self, end: &StepEnd, running: Option<Running>) {
        let keep_log = self.failures.iter().filter(|failure| !failure.tail.is_empty()).count() < LOGS_KEPT;
        let tail = running.filter(|_| keep_log).map(|running| running.tail).unwrap_or_default();
        if self.failures.len() < FAILURES_KEPT {
            self.failures.push(Failure::new(end, tail));
        }
    }

    /// A step may leave a final place again: what it made was lost, and it is made again.
    fn move_to(&mut self, step: &str, to: Place) {
        let from = match self.places.get_mut(step) {
            Some(place) => std::mem::replace(place, to),
            None => {
                self.places.insert(step.to_owned(), to);
                self.counts.waiting(1);
                Place::Waiting
            }
        };
        self.counts.moved(from, to);
        if matches!(from, Place::Failed | Place::Tolerated) {
            self.failures.retain(|failure| failure.step != step);
        }
    }
}

#[cfg(test)]
mod tests;
