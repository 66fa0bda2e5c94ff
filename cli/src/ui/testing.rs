//! What the tests of renderers share.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cullet_coordinator::{Event, RunEnd, RunStart, StepEnd, StepLog, StepStart};

use super::{Moment, Output};

/// An output that can be read back.
#[derive(Debug, Clone, Default)]
pub(super) struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    pub(super) fn output(&self) -> Output {
        Output::new(Box::new(self.clone()))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// So long after a run's start, which was at 1970-01-01T00:00:10Z.
pub(super) fn at(ms: u64) -> Moment {
    Moment { elapsed: Duration::from_millis(ms), wall_ms: 10_000 + ms }
}

pub(super) fn run(steps: &[&str]) -> Event {
    let steps = steps.iter().map(|step| (*step).to_owned()).collect();
    let run = "0123456789abcdef0123456789abcdef".to_owned();
    Event::RunStarted(RunStart { run, pipeline: "app".to_owned(), steps })
}

pub(super) fn started(step: &str, attempt: u32) -> Event {
    Event::StepStarted(StepStart { step: step.to_owned(), attempt, worker: "local".to_owned() })
}

pub(super) fn log(step: &str, text: &str) -> Event {
    Event::StepLog(StepLog { step: step.to_owned(), stream: "stdout".to_owned(), text: text.to_owned() })
}

pub(super) fn finished(step: &str, status: &str, change: impl FnOnce(&mut StepEnd)) -> Event {
    let (step, status) = (step.to_owned(), status.to_owned());
    let mut end = StepEnd { step, status, duration_ms: 1500, ..StepEnd::default() };
    change(&mut end);
    Event::StepFinished(end)
}

pub(super) fn ended(status: &str, change: impl FnOnce(&mut RunEnd)) -> Event {
    let run = "0123456789abcdef0123456789abcdef".to_owned();
    let mut end = RunEnd { run, status: status.to_owned(), duration_ms: 2500, ..RunEnd::default() };
    change(&mut end);
    Event::RunFinished(end)
}
