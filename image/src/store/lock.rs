//! Who works on something, between processes. The kernel gives a lock back when its holder ends, however that ends.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::ImageError;

/// Held until it is dropped. Files of locks stay: one that is removed could be locked by two. They are empty, and
/// there are as many as there are blobs and layers.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// How often it is tried: the work that is waited for takes seconds.
const PAUSE: Duration = Duration::from_millis(50);

impl Lock {
    /// Takes it if nobody has it. Blocking, but does not wait.
    pub(super) fn take(path: &Path) -> Result<Option<Self>, ImageError> {
        let fail = |error| ImageError::io("lock", path, error);
        let file = File::options().write(true).create(true).truncate(false).open(path).map_err(fail)?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(Errno::INTR) => (),
                Err(error) => return Err(fail(error.into())),
            }
        }
    }

    /// Waits for whoever has it.
    pub(super) async fn wait(path: &Path, most: Duration) -> Result<Self, ImageError> {
        let start = Instant::now();
        loop {
            if let Some(lock) = Self::take(path)? {
                return Ok(lock);
            }
            if start.elapsed() > most {
                return Err(ImageError::Locked { path: path.to_owned(), waited_s: most.as_secs() });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
