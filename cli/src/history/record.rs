//! Writes a run down while it happens.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use cullet_coordinator::Event;

use super::lock::Lock;
use super::run::{EVENTS, LOCK, META};
use super::{HistoryError, Meta, Store, prune};
use crate::ui::{Closing, LineWriter, Moment, Observer, Output};

/// Writes the events of one run, all but the lines that processes print. While it lives, the run counts as
/// running; when the process is gone without an end, as interrupted.
#[derive(Debug)]
pub struct RunRecorder {
    out: Output,
    lines: LineWriter,
    runs: PathBuf,
    _alive: Lock,
}

impl RunRecorder {
    /// Makes the directory of a new run.
    ///
    /// # Errors
    /// [`HistoryError::Io`]; a run can do without its history.
    pub fn create(store: &Store, meta: &Meta) -> Result<Self, HistoryError> {
        let runs = store.dir().to_owned();
        let hidden = runs.join(format!("{}{}", prune::NEW, meta.run));
        fs::create_dir_all(&hidden).map_err(HistoryError::io("create", &hidden))?;
        match Self::fill(&runs, &hidden, meta) {
            Ok(recorder) => Ok(recorder),
            Err(error) => {
                // What cannot be removed now goes with the next pruning.
                let _ = fs::remove_dir_all(&hidden);
                Err(error)
            }
        }
    }

    /// The directory appears under its name only when it is complete and locked, so nobody ever sees a live
    /// run that looks dead.
    fn fill(runs: &Path, hidden: &Path, meta: &Meta) -> Result<Self, HistoryError> {
        let lock = hidden.join(LOCK);
        let alive = Lock::try_exclusive(&lock).map_err(HistoryError::io("lock", &lock))?;
        let busy = || HistoryError::io("lock", &lock)(std::io::ErrorKind::ResourceBusy.into());
        let alive = alive.ok_or_else(busy)?;
        let path = hidden.join(META);
        let text = serde_json::to_vec(meta)
            .map_err(|source| HistoryError::Damaged { path: path.clone(), source })?;
        fs::write(&path, text).map_err(HistoryError::io("write", &path))?;
        let events = hidden.join(EVENTS);
        let file = File::create(&events).map_err(HistoryError::io("create", &events))?;
        let dir = runs.join(&meta.run);
        fs::rename(hidden, &dir).map_err(HistoryError::io("create", &dir))?;
        Ok(Self {
            out: Output::new(Box::new(file)),
            lines: LineWriter::default(),
            runs: runs.to_owned(),
            _alive: alive,
        })
    }
}

impl Observer for RunRecorder {
    fn event(&mut self, event: &Event, now: Moment) {
        if matches!(event, Event::StepLog(_)) {
            return;
        }
        self.lines.append(event, now.wall_ms, self.out.buffer());
        match event {
            Event::RunStarted(_) | Event::RunFinished(_) => self.out.flush(),
            _ => self.out.grown(),
        }
    }

    fn tick(&mut self, _now: Moment) {
        self.out.flush();
    }

    fn close(&mut self, _closing: &Closing, now: Moment) {
        self.out.flush();
        prune::prune_if_due(&self.runs, now.wall_ms);
    }
}
