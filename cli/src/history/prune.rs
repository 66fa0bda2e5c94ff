//! Keeps the history bounded.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{lock, run};

/// Begins the name of a run's file that is not complete.
pub(super) const NEW: &str = ".new-";

/// Runs kept: weeks of one person's work.
const RUNS: usize = 200;
/// Runs above [`RUNS`] that are allowed before pruning, so that not every run has to.
const SLACK: usize = 20;
/// How long a run is kept.
const AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How much room events may take: a run of 10,000 steps has about 2.5 MB of them.
const BYTES: u64 = 256 << 20;
/// Pruning by age and size happens no more often.
const INTERVAL: Duration = Duration::from_secs(3600);
/// Remembers the last pruning by its time of change.
const STAMP: &str = ".pruned";

struct Candidate {
    path: PathBuf,
    changed_ms: u64,
    bytes: u64,
}

/// Prunes if there are too many runs or it was long ago. Failing is no harm: the next run tries again.
pub(super) fn prune_if_due(runs: &Path, now_ms: u64) {
    let Ok(entries) = fs::read_dir(runs) else { return };
    let many = entries.count() > RUNS + SLACK;
    let stamp = runs.join(STAMP);
    let recent = changed_ms(&stamp).is_some_and(|at| now_ms.saturating_sub(at) < INTERVAL.as_millis() as u64);
    if many || !recent {
        let _ = fs::write(&stamp, "");
        prune(runs, now_ms, RUNS, BYTES);
    }
}

/// Removes what is over the bounds, oldest first, what a dead process left half made, and in time what is no run.
fn prune(runs: &Path, now_ms: u64, keep: usize, bytes: u64) {
    let old = |changed_ms: u64| now_ms.saturating_sub(changed_ms) > AGE.as_millis() as u64;
    let mut candidates = Vec::new();
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let (path, file) = (entry.path(), entry.file_name());
        let file = file.to_string_lossy();
        let Some(changed_ms) = changed_ms(&path) else { continue };
        if run::name(&file).is_some() {
            let bytes = entry.metadata().map_or(0, |found| found.len());
            candidates.push(Candidate { path, changed_ms, bytes });
        } else if file.starts_with(NEW) || (old(changed_ms) && file != STAMP) {
            remove(&path);
        }
    }
    candidates.sort_by_key(|candidate| std::cmp::Reverse(candidate.changed_ms));
    let mut total = 0;
    for (position, run) in candidates.iter().enumerate() {
        total += run.bytes;
        if position > 0 && (position >= keep || old(run.changed_ms) || total > bytes) {
            remove(&run.path);
        }
    }
}

/// Removes what nobody holds: the process that executes a run holds its file.
fn remove(path: &Path) {
    let Ok(file) = File::open(path) else { return };
    if !lock::try_exclusive(&file).unwrap_or(false) {
        return;
    }
    if fs::remove_file(path).is_err() {
        let _ = fs::remove_dir_all(path);
    }
}

fn changed_ms(path: &Path) -> Option<u64> {
    let changed = fs::symlink_metadata(path).ok()?.modified().ok()?;
    let since = changed.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Meta, RunRecorder, Store};
    use crate::ui::duration::now_ms;

    fn record(store: &Store, run: &str) -> RunRecorder {
        RunRecorder::create(store, &Meta { run: run.to_owned(), ..Meta::of_this_process() }).unwrap()
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_newest_and_the_live_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path());
        let live = record(&store, "a");
        for run in ["b", "c", "d"] {
            std::thread::sleep(Duration::from_millis(15));
            drop(record(&store, run));
        }
        prune(dir.path(), now_ms(), 2, u64::MAX);
        assert_eq!(names(dir.path()), ["a.jsonl", "c.jsonl", "d.jsonl"]);
        drop(live);
        prune(dir.path(), now_ms(), 2, u64::MAX);
        assert_eq!(names(dir.path()), ["c.jsonl", "d.jsonl"]);
        let later = now_ms() + 31 * 24 * 3_600_000;
        prune(dir.path(), later, 2, u64::MAX);
        assert_eq!(names(dir.path()), ["d.jsonl"], "the last run stays however old it is");
    }

    #[test]
    fn what_a_crash_left_half_made_goes() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".new-x"), "x").unwrap();
        prune_if_due(dir.path(), now_ms());
        assert_eq!(names(dir.path()), [STAMP]);
    }

    #[test]
    fn what_is_no_run_goes_in_time() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("dir/below")).unwrap();
        fs::write(dir.path().join("file"), "x").unwrap();
        prune_if_due(dir.path(), now_ms());
        assert_eq!(names(dir.path()), [STAMP, "dir", "file"]);
        prune(dir.path(), now_ms() + 31 * 24 * 3_600_000, 2, u64::MAX);
        assert_eq!(names(dir.path()), [STAMP]);
    }
}
