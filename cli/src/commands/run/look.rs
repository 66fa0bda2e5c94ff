//! A look at a pipeline: which of its steps have results, without executing any.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cullet_coordinator::event::Event;
use cullet_coordinator::images::Images;
use cullet_coordinator::workers::{Finished, Report, StartAttempt, Workers};
use cullet_core::{AttemptId, AttemptOutcome, StepId, WorkerId};
use cullet_digest::Digest;
use cullet_image::Digest as Manifest;
use cullet_pipeline::Plan;
use cullet_source::SourceTree;
use tokio::sync::mpsc;

use super::Extras;
use super::local_workers::open_end;
use super::prepare::FUNCTION;
use super::sources::Sources;
use crate::args::RunArgs;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::ui::{Closing, Moment, Observer};

/// What a look finds. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Looking(Arc<Mutex<Seen>>);

/// See [`look`].
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The pipeline's name.
    pub(crate) pipeline: String,
    /// Steps that have a result, with their keys.
    pub(crate) hits: Vec<(String, Digest)>,
    /// Steps that would be executed: those without a result, and those whose keys depend on one of these.
    pub(crate) misses: Vec<String>,
    /// Steps that act on the outside world, which have no results.
    pub(crate) acting: Vec<String>,
    /// The images of steps, as they are written, and the manifests that they mean.
    pub(crate) images: Vec<(String, Manifest)>,
    /// Sources: their names, paths as they are written, and trees.
    pub(crate) sources: Vec<(String, String)>,
    /// Their trees, in the same order.
    pub(crate) trees: Arc<Vec<SourceTree>>,
    /// What went wrong, for a person.
    pub(crate) warnings: Vec<String>,
    references: Vec<String>,
    expected: BTreeSet<String>,
}

/// Finds out which steps of a pipeline have results; none where that could not be found out, and was said.
///
/// # Errors
/// As for a run.
pub(crate) fn look(args: &RunArgs, config: &Config) -> Result<Option<Seen>, CliError> {
    look_with(args, config, false)
}

/// The same for a run that breaks the glass.
///
/// # Errors
/// As for a run.
pub(crate) fn look_through_glass(args: &RunArgs, config: &Config) -> Result<Option<Seen>, CliError> {
    look_with(args, config, true)
}

fn look_with(args: &RunArgs, config: &Config, quarantined: bool) -> Result<Option<Seen>, CliError> {
    // Whatever the environment says: it is looked at from here. What one step lacks says nothing of others.
    let args = RunArgs { cluster: Some(String::new()), keep_going: true, ..args.clone() };
    let looking = Looking::default();
    let extras = Extras { silent: true, quarantined, looking: Some(looking.clone()), ..Extras::default() };
    if super::run_with(&args, config, extras)? == ExitStatus::Usage {
        return Ok(None);
    }
    let mut seen = std::mem::take(&mut *looking.seen());
    let found: BTreeSet<&str> = seen.hits.iter().map(|(step, _)| &**step).collect();
    seen.misses = seen.expected.iter().filter(|step| !found.contains(&***step)).cloned().collect();
    Ok(Some(seen))
}

impl Looking {
    /// Remembers what should have a result. Nothing is handed out.
    pub(super) fn arrange(&self, plan: &mut Plan) {
        plan.outputs.clear();
        let mut seen = self.seen();
        seen.pipeline = plan.name.to_string();
        seen.references = plan.step_images().into_keys().map(str::to_owned).collect();
        let sources = plan.sources.iter().map(|source| (source.name.clone(), source.path.clone()));
        seen.sources = sources.collect();
        for step in plan.steps.iter().filter(|step| step.skip.is_none()) {
            let name = step.name.to_string();
            if step.settings.effects {
                seen.acting.push(name);
            } else {
                seen.expected.insert(name);
            }
        }
    }

    /// Takes note of what the run was prepared with.
    pub(super) fn prepared(&self, sources: &Sources, images: &Images) {
        let mut seen = self.seen();
        seen.trees = Arc::clone(sources.trees().0);
        let digest = |reference: &String| Some((reference.clone(), images.digest(reference)?.parse().ok()?));
        seen.images = seen.references.iter().filter_map(digest).collect();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Every change is whole by itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Looking {
    fn event(&mut self, event: &Event, _: Moment) {
        let end = match event {
            Event::StepFinished(end) => end,
            Event::Note(note) if note.level == "warning" => {
                return self.seen().warnings.push(note.text.clone());
            }
            _ => return,
        };
        let key = end.action_digest.as_deref().and_then(|text| Digest::parse(FUNCTION, text).ok());
        if let (true, "succeeded", Some(key)) = (end.cached, end.status.as_str(), key) {
            self.seen().hits.push((end.step.clone(), key));
        }
    }

    fn tick(&mut self, _: Moment) {}

    fn close(&mut self, _: &Closing, _: Moment) {}
}

/// Workers that execute nothing.
pub(super) struct Nobody;

#[async_trait]
impl Workers for Nobody {
    async fn start(&self, attempt: StartAttempt, reports: mpsc::Sender<Report>) {
        let outcome = AttemptOutcome::Impossible { reason: "nothing is executed here".into() };
        let finished = Finished { outcome, ..open_end(&attempt) };
        // Nobody listens any more once the session is dropped.
        let _ = reports.send(Report::Finished(Box::new(finished))).await;
    }

    fn stop(&self, _: StepId, _: AttemptId) {}

    fn name(&self, _: WorkerId) -> String {
        "nobody".to_owned()
    }
}
