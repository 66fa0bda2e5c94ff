//! All runs that are remembered.

use std::fs;
use std::path::{Path, PathBuf};

use super::{HistoryError, StoredRun, run};

/// Names shown where a name is not enough.
const CANDIDATES: usize = 5;

/// The directory of runs. Made when the first run is written.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// The runs below `dir`, which need not exist.
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Where they are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Every run that can be read, the newest first.
    ///
    /// # Errors
    /// [`HistoryError::Io`].
    pub fn runs(&self) -> Result<Vec<StoredRun>, HistoryError> {
        let names = self.names()?;
        // One that is damaged, or pruned right now, must not hide the others.
        let mut runs: Vec<StoredRun> = names.iter().filter_map(|name| self.open_run(name).ok()).collect();
        runs.sort_by(|a, b| {
            let key = |run: &StoredRun| (run.meta().started_at_ms, run.meta().run.clone());
            key(b).cmp(&key(a))
        });
        Ok(runs)
    }

    /// The run whose name begins with `name`; without one, the newest.
    ///
    /// # Errors
    /// [`HistoryError::Empty`], [`HistoryError::Unknown`], [`HistoryError::Ambiguous`], [`HistoryError::Io`].
    pub fn find(&self, name: Option<&str>) -> Result<StoredRun, HistoryError> {
        let Some(name) = name else {
            let newest = self.runs()?.into_iter().next();
            return newest.ok_or_else(|| HistoryError::Empty { dir: self.dir.clone() });
        };
        let mut found: Vec<String> =
            self.names()?.into_iter().filter(|run| !name.is_empty() && run.starts_with(name)).collect();
        match found.len() {
            0 => Err(HistoryError::Unknown { name: name.to_owned() }),
            1 => self.open_run(&found[0]),
            _ if found.iter().any(|run| run == name) => self.open_run(name),
            _ => {
                found.sort();
                found.truncate(CANDIDATES);
                Err(HistoryError::Ambiguous { name: name.to_owned(), candidates: found })
            }
        }
    }

    fn names(&self) -> Result<Vec<String>, HistoryError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(HistoryError::io("read", &self.dir)(error)),
        };
        let files = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        Ok(files.filter_map(|file| run::name(&file).map(str::to_owned)).collect())
    }

    fn open_run(&self, name: &str) -> Result<StoredRun, HistoryError> {
        StoredRun::open(run::path(&self.dir, name))
    }
}

#[cfg(test)]
mod tests;
