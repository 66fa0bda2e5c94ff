//! The newest keys of every step of every pipeline, and when they were seen: what `cullet why` compares with.
//!
//! One small text file for each pipeline, sorted by step. It is read at the end of each run and written only
//! if a key changed or a step was executed, so a run in which nothing happened costs one read.

mod file;
mod recorder;
mod scope;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cullet_digest::DigestFunction;

use super::HistoryError;
use super::lock::Lock;

use file::KeyFile;
pub use recorder::KeyRecorder;
pub use scope::scope;

/// Pipelines remembered; the one that changed longest ago goes first.
const PIPELINES: usize = 200;

/// A key that a step had in some run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The digest of its action, as `hash/size`.
    pub digest: String,
    /// How it ended: `succeeded`, `failed` or `timed_out`.
    pub status: String,
    /// Whether nothing was executed: the cache had it, or an identical step.
    pub cached: bool,
    /// When the step ended, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// In which run.
    pub run: String,
}

/// Remembers the keys of one run of the pipeline that [`scope`] names: pairs of a step and its key. Steps that
/// the cache answered as the last time cost nothing. Returns whether anything was new.
///
/// # Errors
/// [`HistoryError::Io`].
pub fn record(dir: &Path, pipeline: &str, keys: &[(String, KeyRecord)]) -> Result<bool, HistoryError> {
    let path = path(dir, pipeline);
    let text = read(&path)?;
    if !KeyFile::parse(&text).would_change(keys) {
        return Ok(false);
    }
    fs::create_dir_all(dir).map_err(HistoryError::io("create", dir))?;
    let lock = dir.join("lock");
    let _lock = Lock::exclusive(&lock).map_err(HistoryError::io("lock", &lock))?;
    // Read again under the lock: another process may have written in between.
    let text = read(&path)?;
    let mut file = KeyFile::parse(&text);
    file.add(keys);
    let new = path.with_extension("new");
    fs::write(&new, file.render(pipeline)).map_err(HistoryError::io("write", &new))?;
    let first = text.is_empty();
    fs::rename(&new, &path).map_err(HistoryError::io("write", &path))?;
    if first {
        forget_oldest(dir);
    }
    Ok(true)
}

/// The keys that a step had, the newest first; none if it is not known. A key comes several times: when it was
/// seen first, and the last times.
///
/// # Errors
/// [`HistoryError::Io`].
pub fn nearest(dir: &Path, pipeline: &str, step: &str) -> Result<Vec<KeyRecord>, HistoryError> {
    Ok(KeyFile::parse(&read(&path(dir, pipeline))?).of(step))
}

fn path(dir: &Path, pipeline: &str) -> PathBuf {
    // A pipeline's name need not be a file name.
    let name = DigestFunction::Blake3.digest(pipeline.as_bytes()).hash_hex();
    dir.join(format!("{}.keys", &name[..32]))
}

/// Damaged text is as good as none: this is a memory, not a record.
fn read(path: &Path) -> Result<String, HistoryError> {
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8(bytes).unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(HistoryError::io("read", path)(error)),
    }
}

/// Failing is no harm: the next new pipeline tries again.
fn forget_oldest(dir: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "keys"));
    let mut files: Vec<_> =
        files.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
    files.sort();
    for (_, path) in files.iter().rev().skip(PIPELINES) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests;
