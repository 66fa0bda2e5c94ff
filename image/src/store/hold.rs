//! What is in use: layers and documents that nobody may remove.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::ImageError;

/// Held until it is dropped, or until the process ends, however that happens.
#[derive(Debug)]
pub(super) struct Hold {
    _file: File,
}

/// What this process holds: everything once, so that steps in one image need no more open files than one step.
#[derive(Debug, Default)]
pub(super) struct Holds {
    held: Mutex<HashMap<String, Weak<Hold>>>,
}

/// How long whoever removes something is waited for: it only renames a directory.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

impl Holds {
    /// Holds `name`, which need not be there yet. Blocking.
    pub(super) fn take(&self, locks: &Path, name: &str) -> Result<Arc<Hold>, ImageError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hold) = held.get(name).and_then(Weak::upgrade) {
            return Ok(hold);
        }
        // What is held no more is forgotten here, so that no more are kept than there are.
        held.retain(|_, hold| hold.strong_count() > 0);
        let path = locks.join(format!("use-{name}"));
        let start = Instant::now();
        loop {
            if let Some(file) = lock(&path, FlockOperation::NonBlockingLockShared)? {
                let hold = Arc::new(Hold { _file: file });
                held.insert(name.to_owned(), Arc::downgrade(&hold));
                return Ok(hold);
            }
            if start.elapsed() > PATIENCE {
                return Err(ImageError::Locked { path, waited_s: PATIENCE.as_secs() });
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// For whoever removes `name`: none while anybody holds it.
pub(super) fn unheld(locks: &Path, name: &str) -> Result<Option<Hold>, ImageError> {
    let file = lock(&locks.join(format!("use-{name}")), FlockOperation::NonBlockingLockExclusive)?;
    Ok(file.map(|file| Hold { _file: file }))
}

/// Notes when something was last used. What cannot be noted only goes earlier when room is made.
pub(super) fn used_now(path: &Path) {
    let noted = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
    if let Err(error) = noted {
        tracing::debug!(path = %path.display(), %error, "the last use is not noted");
    }
}

fn lock(path: &Path, how: FlockOperation) -> Result<Option<File>, ImageError> {
    let fail = |error| ImageError::io("lock", path, error);
    let file = File::options().write(true).create(true).truncate(false).open(path).map_err(fail)?;
    loop {
        match rustix::fs::flock(&file, how) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(Errno::INTR) => (),
            Err(error) => return Err(fail(error.into())),
        }
    }
}
