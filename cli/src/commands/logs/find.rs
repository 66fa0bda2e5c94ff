//! Which steps of which run are meant.

use std::collections::HashMap;

use cullet_coordinator::{Event, StepEnd};

use crate::error::CliError;
use crate::history::{HistoryError, Store, StoredRun};
use crate::ui::{clean, short};

/// A run and the steps of it whose logs are wanted.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) run: StoredRun,
    pub(super) steps: Vec<StepEnd>,
    /// Results that the run wrote down.
    pub(super) results: Results,
    /// Nobody named the steps: they are those that failed.
    pub(super) implicit: bool,
}

/// Results that the run wrote down, by key and status: what an identical step shared is written down once.
#[derive(Debug, Default)]
pub(super) struct Results(HashMap<(String, String), String>);

impl Results {
    /// The result that `end` names, or the one that it shared, encoded.
    pub(super) fn of<'a>(&'a self, end: &'a StepEnd) -> Option<&'a str> {
        if end.result.is_some() || !end.cached {
            return end.result.as_deref();
        }
        let key = (end.action_digest.clone()?, end.status.clone());
        self.0.get(&key).map(String::as_str)
    }

    fn add(&mut self, end: &StepEnd) {
        if let (Some(key), Some(result)) = (&end.action_digest, &end.result) {
            self.0.insert((key.clone(), end.status.clone()), result.clone());
        }
    }
}

/// A run's last ends in order, the steps without one, and the results.
struct Read {
    finished: Vec<StepEnd>,
    unfinished: Vec<String>,
    results: Results,
}

/// Nothing: what failed in the last run. One word: a step of the last run, or a run. Two: a run and a step.
pub(super) fn find(store: &Store, what: &[String]) -> Result<Found, CliError> {
    match what {
        [] => failed(store.find(None)?),
        [run, step, ..] => named(store.find(Some(run))?, step),
        [word] => {
            let last = store.find(None)?;
            let runs_still = read(&last)?.unfinished.iter().any(|step| is_it(step, word));
            match named(last, word) {
                Ok(found) => Ok(found),
                // A step of the last run all the same, whatever runs have names that begin so.
                Err(not_finished) if runs_still => Err(not_finished),
                Err(no_step) => match store.find(Some(word)) {
                    Ok(run) => failed(run),
                    Err(HistoryError::Unknown { .. }) => Err(no_step),
                    Err(error) => Err(error.into()),
                },
            }
        }
    }
}

fn failed(run: StoredRun) -> Result<Found, CliError> {
    let Read { finished: mut steps, results, .. } = read(&run)?;
    steps.retain(|end| matches!(end.status.as_str(), "failed" | "timed_out" | "infra_failed"));
    Ok(Found { run, steps, results, implicit: true })
}

/// A step by its name, or all instances of a matrix step by the name before the bracket.
fn named(run: StoredRun, name: &str) -> Result<Found, CliError> {
    let Read { finished: mut steps, unfinished, results } = read(&run)?;
    if let Some(exact) = steps.iter().position(|end| end.step == name) {
        steps = vec![steps.swap_remove(exact)];
    } else {
        steps.retain(|end| is_it(&end.step, name));
    }
    if !steps.is_empty() {
        return Ok(Found { run, steps, results, implicit: false });
    }
    let (step, id) = (clean::line(name), short(&run.meta().run));
    if unfinished.iter().any(|step| is_it(step, name)) {
        let error = CliError::usage(format!("step '{step}' of run {id} has not finished"));
        return Err(error.hint("logs are kept when a step ends; see cullet status"));
    }
    Err(CliError::usage(format!("run {id} has no step '{step}'")).hint("see cullet status, or cullet runs"))
}

fn is_it(step: &str, name: &str) -> bool {
    step == name || step.strip_prefix(name).is_some_and(|matrix| matrix.starts_with('['))
}

fn read(run: &StoredRun) -> Result<Read, CliError> {
    let (mut all, mut results) = (Vec::new(), Results::default());
    let mut ends: HashMap<String, StepEnd> = HashMap::new();
    run.events(|event, _| match event {
        Event::RunStarted(start) => all = start.steps,
        Event::StepFinished(end) => {
            results.add(&end);
            ends.insert(end.step.clone(), end);
        }
        _ => {}
    })?;
    let (mut finished, mut unfinished) = (Vec::new(), Vec::new());
    for step in all {
        match ends.remove(&step) {
            Some(end) => finished.push(end),
            None => unfinished.push(step),
        }
    }
    Ok(Read { finished, unfinished, results })
}
