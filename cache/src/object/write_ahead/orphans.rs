//! What dead processes have left.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::home::{Home, is_gone};
use super::settle::settle;

/// How long nobody has written a log that is taken for a dead process's where locks may say nothing. A living one writes to a log
/// for a few seconds only, and what comes of it is the same whoever makes files of the rest.
const SILENT: Duration = Duration::from_secs(30);

/// Nobody takes this long to give a log its name.
const UNNAMED: Duration = Duration::from_secs(60);

/// How long it lets others work after every few files.
const STEP_BACK: Duration = Duration::from_millis(5);

/// A log that nobody else writes, reads to its end or removes as long as this is there.
#[derive(Debug)]
pub(super) struct Orphan {
    pub(super) id: u64,
    file: File,
}

impl Orphan {
    /// Takes a log of a dead process; none where it is that of a living one, or nothing may be written.
    pub(super) fn claim(home: &Home, id: u64) -> Option<Self> {
        let file = locked(&home.log(id))?;
        if !home.filesystem.locks_hold && !is_older(&file, SILENT) {
            return None;
        }
        Some(Self { id, file })
    }

    /// Makes files of what is in it, and removes it. How many blobs that were.
    pub(super) fn settle(&self, home: &Home) -> io::Result<usize> {
        let path = home.log(self.id);
        let end = self.file.metadata()?.len();
        let step_back = || {
            std::thread::sleep(STEP_BACK);
            Ok(())
        };
        let settled = settle(home, (&self.file, &path), end, step_back)?;
        home.remove(&path)?;
        Ok(settled.len())
    }
}

/// Removes what a dead process has not made a log.
pub(super) fn remove_draft(path: &Path) {
    // Looked at first: a lock, however short, is one more than its owner reckons with.
    let old = File::open(path).is_ok_and(|file| is_older(&file, UNNAMED));
    if let Some(file) = old.then(|| locked(path)).flatten() {
        match std::fs::remove_file(path) {
            Err(error) if !is_gone(&error) => {
                tracing::debug!(%error, path = %path.display(), "what no log became stays");
            }
            _ => {}
        }
        drop(file);
    }
}

/// The file of this name, locked; none where somebody else has locked it or it cannot be written.
fn locked(path: &Path) -> Option<File> {
    let file = File::options().read(true).write(true).open(path).ok()?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    // It may have been removed before it could be locked.
    let (found, named) = (file.metadata().ok()?, std::fs::metadata(path).ok()?);
    ((found.dev(), found.ino()) == (named.dev(), named.ino())).then_some(file)
}

fn is_older(file: &File, than: Duration) -> bool {
    let modified = file.metadata().and_then(|found| found.modified());
    // One from the future is young.
    modified.ok().and_then(|modified| modified.elapsed().ok()).is_some_and(|age| age > than)
}
