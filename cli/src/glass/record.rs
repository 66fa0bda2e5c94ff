//! What became of a run, for the end of its entry in the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cullet_cache::{ActionResult, LocalCache};
use cullet_coordinator::event::{Event, Note, RunEnd, StepEnd};
use cullet_coordinator::glass::{Finished, StepRecord, digest_of, outputs_of};
use cullet_digest::Digest;
use cullet_pipeline::Plan;
use tokio::runtime::Runtime;

use crate::commands::run::prepare::FUNCTION;
use crate::commands::run::promote::besides;
use crate::runtime;
use crate::ui::{Closing, Moment, Observer};

/// What is said of the shared cache at the end again: the first few tell it.
const MOST_TROUBLES: usize = 3;

/// Watches a run and remembers how its steps ended. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// Reports of steps that are no outputs of them: they say how long tests took.
    besides: BTreeMap<String, BTreeSet<String>>,
    /// The last end of each.
    steps: BTreeMap<String, StepEnd>,
    troubles: Vec<String>,
    end: Option<RunEnd>,
}

impl Record {
    /// Of a run of this plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        let besides = plan.steps.iter().map(|step| (step.name.to_string(), besides(step))).collect();
        Self(Arc::new(Mutex::new(Kept { besides, ..Kept::default() })))
    }

    /// What goes into the journal. Results are looked up in the cache, as far as they are still there.
    pub(crate) fn finished(&self, cache: Option<&LocalCache>) -> Finished {
        let kept = self.kept();
        let results = cache.zip(runtime::of_one_thread().ok());
        let besides = |end: &StepEnd| kept.besides.get(&end.step);
        let steps = kept.steps.values().map(|end| step(end, besides(end), results.as_ref())).collect();
        match &kept.end {
            Some(RunEnd { status, executed, cached, failed, .. }) => Finished {
                outcome: status.clone(),
                executed: *executed,
                cached: *cached,
                failed: *failed,
                steps,
            },
            None => Finished { outcome: "infra_failed".to_owned(), steps, ..Finished::default() },
        }
    }

    /// What was wrong with the shared cache, in sentences.
    pub(crate) fn troubles(&self) -> BTreeSet<String> {
        self.kept().troubles.iter().take(MOST_TROUBLES).cloned().collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Every change is whole by itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Record {
    fn event(&mut self, event: &Event, _: Moment) {
        let mut kept = self.kept();
        match event {
            Event::StepFinished(end) => drop(kept.steps.insert(end.step.clone(), end.clone())),
            Event::Note(note) if note.level == "warning" && note.kind.as_deref() == Some(Note::SHARED) => {
                kept.troubles.push(note.text.clone());
            }
            Event::RunFinished(end) => kept.end = Some(end.clone()),
            _ => {}
        }
    }

    fn tick(&mut self, _: Moment) {}

    fn close(&mut self, _: &Closing, _: Moment) {}
}

/// Results, and what waits for them.
type Results<'a> = (&'a LocalCache, Runtime);

fn step(end: &StepEnd, besides: Option<&BTreeSet<String>>, results: Option<&Results<'_>>) -> StepRecord {
    let cached = || end.from.clone().unwrap_or_else(|| StepEnd::LOCAL.to_owned());
    let result = result(end, results);
    let outputs = |result| {
        let mut outputs = outputs_of(result);
        outputs.retain(|path, _| besides.is_none_or(|besides| !besides.contains(path)));
        outputs
    };
    StepRecord {
        step: end.step.clone(),
        status: end.status.clone(),
        action_digest: end.action_digest.clone(),
        result_digest: result.as_ref().map(|result| digest_of(result).to_string()),
        outputs: result.as_ref().map(outputs),
        cached_from: end.cached.then(cached),
    }
}

/// The result of a step.
fn result(end: &StepEnd, results: Option<&Results<'_>>) -> Option<ActionResult> {
    match &end.result {
        Some(encoded) => ActionResult::decode(FUNCTION, STANDARD.decode(encoded).ok()?.into()).ok(),
        None if end.status == "succeeded" => {
            let action = Digest::parse(FUNCTION, end.action_digest.as_deref()?).ok()?;
            let (cache, runtime) = results?;
            runtime.block_on(cache.seen.get(&action)).ok()?
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_steps_is_remembered_and_trouble_said_once() {
        let mut record = Record::default();
        assert_eq!(record.finished(None).outcome, "infra_failed", "no end is no good end");
        let end = |status: &str, cached| StepEnd {
            step: "build".to_owned(),
            status: status.to_owned(),
            cached,
            action_digest: Some("aa/1".to_owned()),
            ..StepEnd::default()
        };
        let trouble = Event::Note(Note {
            level: "warning".to_owned(),
            kind: Some(Note::SHARED.to_owned()),
            step: None,
            text: "away".to_owned(),
        });
        let run = RunEnd { status: "succeeded".to_owned(), cached: 1, ..RunEnd::default() };
        for event in [
            Event::StepFinished(end("failed", false)),
            Event::StepFinished(end("succeeded", true)),
            trouble.clone(),
            trouble,
            Event::RunFinished(run),
        ] {
            record.event(&event, Moment::default());
        }
        let finished = record.finished(None);
        assert_eq!((finished.outcome.as_str(), finished.cached, finished.steps.len()), ("succeeded", 1, 1));
        assert_eq!(finished.steps[0].status, "succeeded");
        assert_eq!(finished.steps[0].cached_from.as_deref(), Some("local"));
        assert_eq!(record.troubles().len(), 1);
    }
}
