//! Collects the keys of a run while it happens.

use std::path::PathBuf;

use cullet_coordinator::{Event, StepEnd};
use cullet_digest::{Digest, DigestFunction};

use super::{KeyRecord, record, scope};
use crate::ui::{Closing, Moment, Observer};

/// Remembers the keys of a run when it is over, however it ended.
#[derive(Debug)]
pub struct KeyRecorder {
    dir: PathBuf,
    file: PathBuf,
    scope: String,
    run: String,
    seen: Vec<Seen>,
}

/// A key as it is kept while the run lasts: a third of a [`KeyRecord`], as there can be 100,000.
#[derive(Debug)]
struct Seen {
    step: Box<str>,
    digest: Digest,
    status: &'static str,
    cached: bool,
    at_ms: u64,
}

impl Seen {
    /// None for an end without a key, or one that says nothing about it.
    fn new(end: &StepEnd, at_ms: u64) -> Option<Self> {
        let status = ["succeeded", "failed", "timed_out"].into_iter().find(|known| *known == end.status)?;
        let digest = Digest::parse(DigestFunction::Blake3, end.action_digest.as_deref()?).ok()?;
        Some(Self { step: end.step.as_str().into(), digest, status, cached: end.cached, at_ms })
    }

    fn into_record(self, run: &str) -> (String, KeyRecord) {
        let record = KeyRecord {
            digest: self.digest.to_string(),
            status: self.status.to_owned(),
            cached: self.cached,
            at_ms: self.at_ms,
            run: run.to_owned(),
        };
        (self.step.into(), record)
    }
}

impl KeyRecorder {
    /// Remembers below `dir` what the pipeline in `file` does.
    pub fn new(dir: impl Into<PathBuf>, file: impl Into<PathBuf>) -> Self {
        let (dir, file) = (dir.into(), file.into());
        Self { dir, file, scope: String::new(), run: String::new(), seen: Vec::new() }
    }
}

impl Observer for KeyRecorder {
    fn event(&mut self, event: &Event, now: Moment) {
        match event {
            Event::RunStarted(start) => {
                self.scope = scope(&start.pipeline, &self.file);
                self.run.clone_from(&start.run);
            }
            Event::StepFinished(end) => self.seen.extend(Seen::new(end, now.wall_ms)),
            _ => {}
        }
    }

    fn tick(&mut self, _now: Moment) {}

    fn close(&mut self, _closing: &Closing, _now: Moment) {
        let seen = std::mem::take(&mut self.seen).into_iter();
        let keys: Vec<(String, KeyRecord)> = seen.map(|seen| seen.into_record(&self.run)).collect();
        if let Err(error) = record(&self.dir, &self.scope, &keys) {
            // Without it `why` knows less; the run is not worse for it.
            tracing::warn!(%error, "keys of this run are not remembered");
        }
    }
}
