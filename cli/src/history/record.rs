//! Writes a run down while it happens.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use cullet_coordinator::Event;

use super::{HistoryError, Meta, Store, lock, prune, run};
use crate::random;
use crate::ui::{Closing, LineWriter, Moment, Observer, Output};

/// Writes the events of one run, all but the lines that processes print. While it lives, the run counts as
/// running; when the process is gone without an end, as interrupted.
#[derive(Debug)]
pub struct RunRecorder {
    /// Of the run's file, which is locked as long as it is open.
    out: Output,
    lines: LineWriter,
    runs: PathBuf,
}

impl RunRecorder {
    /// Makes the file of a new run.
    ///
    /// # Errors
    /// [`HistoryError::Recorded`] where another process writes the same run down, and [`HistoryError::Io`]; a run can do
    /// without its history.
    pub fn create(store: &Store, meta: &Meta) -> Result<Self, HistoryError> {
        let runs = store.dir().to_owned();
        let hidden = runs.join(format!("{}{}.{:016x}", prune::NEW, meta.run, random::number()));
        let file = match File::create_new(&hidden) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(&runs).map_err(HistoryError::io("create", &runs))?;
                File::create_new(&hidden)
            }
            made => made,
        };
        let file = file.map_err(HistoryError::io("create", &hidden))?;
        match Self::fill(file, &runs, &hidden, meta) {
            Ok(recorder) => Ok(recorder),
            Err(error) => {
                // What cannot be removed now goes with the next pruning.
                let _ = fs::remove_file(&hidden);
                Err(error)
            }
        }
    }

    /// The file appears under its name only when it is locked and says what the run is, so nobody ever sees a live
    /// run that looks dead.
    fn fill(mut file: File, runs: &Path, hidden: &Path, meta: &Meta) -> Result<Self, HistoryError> {
        if !lock::try_exclusive(&file).map_err(HistoryError::io("lock", hidden))? {
            return Err(HistoryError::io("lock", hidden)(std::io::ErrorKind::ResourceBusy.into()));
        }
        let mut line = serde_json::to_vec(meta)
            .map_err(|source| HistoryError::Damaged { path: hidden.to_owned(), source })?;
        line.push(b'\n');
        file.write_all(&line).map_err(HistoryError::io("write", hidden))?;
        let path = run::path(runs, &meta.run);
        // Two that submit under one name follow one run.
        if lock::is_held(&path) {
            return Err(HistoryError::Recorded { run: meta.run.clone() });
        }
        fs::rename(hidden, &path).map_err(HistoryError::io("create", &path))?;
        Ok(Self { out: Output::new(Box::new(file)), lines: LineWriter::default(), runs: runs.to_owned() })
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
