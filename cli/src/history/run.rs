//! A run that was written down.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use cullet_coordinator::{Event, RunEnd};
use serde::Deserialize;

use super::{HistoryError, Meta, lock};
use crate::ui::duration;

/// Ends the name of a run's file. Its first line is the [`Meta`], and every other an event; the process that executes
/// the run holds a lock on it.
const SUFFIX: &str = ".jsonl";

/// Bytes that the first line can have: a command line has at most 2 MiB, and each may be escaped.
const FIRST: u64 = 16 << 20;

/// Bytes at the end of the events in which the end of the run is looked for; it is about 250 bytes long.
const END: u64 = 4096;

/// A run of the past, or one that another process executes.
#[derive(Debug, Clone)]
pub struct StoredRun {
    path: PathBuf,
    meta: Meta,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// Its process lives.
    Running,
    /// It came to its end.
    Finished(RunEnd),
    /// Its process is gone and never said an end.
    Interrupted,
}

impl RunState {
    /// One word for people and programs.
    pub fn word(&self) -> &str {
        match self {
            Self::Running => "running",
            Self::Finished(end) => &end.status,
            Self::Interrupted => "interrupted",
        }
    }
}

/// Where the run called `name` is.
pub(super) fn path(runs: &Path, name: &str) -> PathBuf {
    runs.join(format!("{name}{SUFFIX}"))
}

/// The name of the run whose file this is; none for the file of something else.
pub(super) fn name(file: &str) -> Option<&str> {
    file.strip_suffix(SUFFIX).filter(|name| !name.starts_with('.'))
}

impl StoredRun {
    pub(super) fn open(path: PathBuf) -> Result<Self, HistoryError> {
        let file = File::open(&path).map_err(HistoryError::io("read", &path))?;
        let mut first = Vec::new();
        let read = BufReader::with_capacity(1 << 10, file.take(FIRST)).read_until(b'\n', &mut first);
        read.map_err(HistoryError::io("read", &path))?;
        match serde_json::from_slice(&first) {
            Ok(meta) => Ok(Self { path, meta }),
            Err(source) => Err(HistoryError::Damaged { path, source }),
        }
    }

    /// What it was started as.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Whether its process lives.
    pub fn is_live(&self) -> bool {
        lock::is_held(&self.path)
    }

    /// Where it is. Cheap: the events are not read but for their end.
    pub fn state(&self) -> RunState {
        // Looked at before the end, so that a run which ends in between is not taken for interrupted.
        let live = self.is_live();
        match self.end() {
            Some(end) => RunState::Finished(end),
            None if live => RunState::Running,
            None => RunState::Interrupted,
        }
    }

    fn end(&self) -> Option<RunEnd> {
        let mut file = File::open(&self.path).ok()?;
        let length = file.seek(SeekFrom::End(0)).ok()?;
        file.seek(SeekFrom::Start(length.saturating_sub(END))).ok()?;
        let mut tail = Vec::new();
        file.take(END).read_to_end(&mut tail).ok()?;
        let complete = tail.iter().rposition(|byte| *byte == b'\n')?;
        tail[..complete].rsplit(|byte| *byte == b'\n').find_map(|line| {
            match serde_json::from_slice::<Event>(line) {
                Ok(Event::RunFinished(end)) => Some(end),
                _ => None,
            }
        })
    }

    /// Gives every event written so far, with its time in milliseconds since the run's start. A line that a
    /// crash left half written is passed over.
    ///
    /// # Errors
    /// [`HistoryError::Io`].
    pub fn events(&self, mut each: impl FnMut(Event, u64)) -> Result<(), HistoryError> {
        #[derive(Deserialize)]
        struct Time<'a> {
            time: Option<&'a str>,
        }
        self.lines(|line| {
            let Ok(event) = serde_json::from_slice::<Event>(line) else { return };
            let time = serde_json::from_slice::<Time<'_>>(line).ok().and_then(|time| time.time);
            let time = time.and_then(|time| time.parse::<jiff::Timestamp>().ok());
            let at = time.and_then(|time| u64::try_from(time.as_millisecond()).ok());
            each(event, at.unwrap_or_default().saturating_sub(self.meta.started_at_ms));
        })
    }

    /// Gives every line of the events so far, without its newline.
    pub fn lines(&self, mut each: impl FnMut(&[u8])) -> Result<(), HistoryError> {
        let path = &self.path;
        let file = File::open(path).map_err(HistoryError::io("read", path))?;
        let mut reader = BufReader::with_capacity(64 << 10, file);
        let mut line = Vec::new();
        let mut first = true;
        loop {
            line.clear();
            reader.read_until(b'\n', &mut line).map_err(HistoryError::io("read", path))?;
            match line.strip_suffix(b"\n") {
                // What the run was started as.
                Some(_) if first => first = false,
                Some(whole) => each(whole),
                None => return Ok(()),
            }
        }
    }

    /// How long it has been running at `now_ms`, or ran.
    pub fn elapsed_ms(&self, state: &RunState, now_ms: u64) -> Option<u64> {
        match state {
            RunState::Finished(end) => Some(end.duration_ms),
            RunState::Running => Some(now_ms.saturating_sub(self.meta.started_at_ms)),
            RunState::Interrupted => None,
        }
    }

    /// When it was started, for people and programs.
    pub fn started(&self) -> String {
        duration::rfc3339(self.meta.started_at_ms)
    }
}
