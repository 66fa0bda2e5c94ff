//! Collects the keys of a run while it happens.

use std::path::PathBuf;

use cullet_coordinator::Event;

use super::{KeyRecord, record, scope};
use crate::ui::{Closing, Moment, Observer};

/// Remembers the keys of a run when it is over, however it ended.
#[derive(Debug)]
pub struct KeyRecorder {
    dir: PathBuf,
    file: PathBuf,
    scope: String,
    run: String,
    keys: Vec<(String, KeyRecord)>,
}

impl KeyRecorder {
    /// Remembers below `dir` what the pipeline in `file` does.
    pub fn new(dir: impl Into<PathBuf>, file: impl Into<PathBuf>) -> Self {
        let (dir, file) = (dir.into(), file.into());
        Self { dir, file, scope: String::new(), run: String::new(), keys: Vec::new() }
    }
}

impl Observer for KeyRecorder {
    fn event(&mut self, event: &Event, now: Moment) {
        match event {
            Event::RunStarted(start) => {
                self.scope = scope(&start.pipeline, &self.file);
                self.run.clone_from(&start.run);
            }
            Event::StepFinished(end) => {
                let Some(digest) = &end.action_digest else { return };
                if !matches!(end.status.as_str(), "succeeded" | "failed" | "timed_out") {
                    return;
                }
                let key = KeyRecord {
                    digest: digest.clone(),
                    status: end.status.clone(),
                    cached: end.cached,
                    at_ms: now.wall_ms,
                    run: self.run.clone(),
                };
                self.keys.push((end.step.clone(), key));
            }
            _ => {}
        }
    }

    fn tick(&mut self, _now: Moment) {}

    fn close(&mut self, _closing: &Closing, _now: Moment) {
        if let Err(error) = record(&self.dir, &self.scope, &self.keys) {
            // Without it `why` knows less; the run is not worse for it.
            tracing::warn!(%error, "keys of this run are not remembered");
        }
    }
}
